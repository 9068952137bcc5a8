#!lua flags=allow-oom
-- One heartbeat: the stream for whoever follows, the hash for whoever comes late, the index for the sweep.
-- ARGV: prefix, consumer, agent, status, interval s, then the beat's field names and values
-- Consumers that were silent for too long are found by whoever beats next; the removal decides who says so.

local consumer, agent, status = ARGV[2], ARGV[3], ARGV[4]
local seen = PREFIX .. ':agents:seen'
local known = PREFIX .. ':agents'
local fields = {}
for i = 6, #ARGV do fields[#fields + 1] = ARGV[i] end

redis.call('XADD', PREFIX .. ':heartbeats', 'MAXLEN', '~', '10000', '*', unpack(fields))
redis.call('HSET', known, consumer, cmsgpack.pack({at = NOW, fields = fields}))
if status == 'stopped' then
  if redis.call('ZREM', seen, consumer) == 1 then
    event('agent_down', '', '', '', consumer, '0', '', '', '')
  end
else
  -- The score is the time from which this consumer counts as lost: twelve of its own intervals from now.
  local added = redis.call('ZADD', seen, text(NOW + tonumber(ARGV[5]) * 12000), consumer)
  if added == 1 then event('agent_up', '', '', '', consumer, '0', '', '', '') end
end

for _, silent in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', text(NOW), 'LIMIT', 0, 20)) do
  redis.call('ZREM', seen, silent)
  event('agent_lost', '', '', '', silent, '0', '', '', '')
end
-- A process that said nothing for a day is history; its name is never used again. One beat in a hundred looks.
if tonumber(clock[2]) % 100 == 0 then
  local rows = redis.call('HSCAN', known, '0', 'COUNT', 100)[2]
  for i = 1, #rows, 2 do
    local readable, beat = pcall(cmsgpack.unpack, rows[i + 1])
    local at = readable and type(beat) == 'table' and tonumber(beat.at)
    if at and at < NOW - 86400000 then redis.call('HDEL', known, rows[i]) end
  end
end
count_events()
return NOW
