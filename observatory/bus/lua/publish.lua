-- Publish tasks. An id that the bus remembers is a repeated send: it is answered, not added again.
-- ARGV: prefix, lane bound, then per task: stream, queue (empty: shared), id, type, sender, delay ms, n, n field strings
-- Returns per task {'queued' | 'delayed' | 'duplicate' | 'busy', entry}

local bound = tonumber(ARGV[2])
local answers = {}
local at = 3
while at <= #ARGV do
  local stream, queue, id, type, sender = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local wait, n = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local fields = {}
  for i = 1, n do fields[i] = ARGV[at + 6 + i] end
  at = at + 7 + n

  local key = record_key(id)
  local known = redis.call('HGET', key, 'entry')
  local outcome, entry
  if known then
    outcome, entry = 'duplicate', known
  elseif redis.call('XLEN', stream) >= bound then
    outcome, entry = 'busy', ''
  else
    if queue ~= '' then redis.call('SADD', PREFIX .. ':tasks:queues', queue) end
    if wait > 0 then
      outcome, entry = 'delayed', 'id:' .. id
      delay(entry, NOW + wait, stream, fields, id, type, '1')
    else
      outcome, entry = 'queued', add(stream, fields)
    end
    redis.call('HSET', key, 'state', outcome, 'lane', stream, 'entry', entry, 'attempt', '1', 'owner', '', 'type', type)
    redis.call('EXPIRE', key, RECORD_TTL)
    event(wait > 0 and 'scheduled' or 'published', id, type, stream, sender, '1', '', '', '')
  end
  answers[#answers + 1] = {outcome, entry}
end
count_events()
return answers
