#!lua flags=allow-oom
-- Say how urgent the most urgent entry is that waits in this partition, without taking it; what is due is promoted.
-- Where nothing waits, a consumer that goes to sleep is put among the sleepers in the same moment, so that nothing can
-- arrive between its look and its sleep without ringing for it.
-- ARGV: prefix, group, consumer, ms for which it is a sleeper (0: it is none), n, n lanes from the most urgent on,
--   then nothing, or per lane its longest wait in ms (0: any)
-- Returns {place of the lane from 1 on, or 0 if its oldest entry has waited for too long, or -1 if nothing waits,
--   ms until the next delayed task is due or -1}.

local group, consumer, sleeps, n = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

promote(100)

local pausing = {}
local pauses = redis.call('HGETALL', PREFIX .. ':tasks:paused')
for i = 1, #pauses, 2 do
  local till = tonumber(pauses[i + 1])
  pausing[pauses[i]] = till == 0 or till > NOW
end
local rests = pausing['\31' .. string.match(consumer, '^[^@]*')]
local function is_paused(stream)
  return rests or pausing[stream] or pausing[stream .. '\31' .. group]
end

-- The oldest entry that the group was not given yet.
local function first_of(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return nil end
  local from = '-'
  for _, flat in ipairs(groups) do
    local info = {}
    for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
    if info['name'] == group then
      if info['lag'] == 0 then return nil end
      from = '(' .. info['last-delivered-id']
    end
  end
  local row = redis.call('XRANGE', stream, from, '+', 'COUNT', 1)[1]
  return row and row[1]
end

-- Lanes in which something was parked whose turn has come; a few of very many tell enough.
local turns = {}
for _, place in ipairs(redis.call('ZRANGE', PREFIX .. ':tasks:turns', 0, 99)) do
  local of, stream = string.match(place, '^([^\31]*)\31([^\31]*)\31')
  if of == group then turns[stream] = true end
end

local found = -1
for index = 1, n do
  local stream = ARGV[5 + index]
  local patience = tonumber(ARGV[5 + n + index] or '0')
  if not is_paused(stream) and (found < 0 or patience > 0) then
    local first = first_of(stream)
    if first and patience > 0 and NOW - id_ms(first) > patience then
      found = 0
    elseif (first or turns[stream]) and found < 0 then
      found = index
    end
  end
end

-- It is written again only when half of its time is over: looks are frequent, and every write goes to disk and replicas.
local function fall_asleep(key)
  local member = group .. '\31' .. consumer
  local till = redis.pcall('ZSCORE', key, member)
  if type(till) == 'table' or (till and tonumber(till) - NOW > sleeps / 2) then return end
  redis.call('ZADD', key, text(NOW + sleeps), member)
  redis.call('PEXPIRE', key, text(sleeps))
end

if found < 0 and sleeps > 0 then
  local keys = {}
  for index = 1, n do keys[sleepers_of(ARGV[5 + index])] = true end
  for key in pairs(keys) do fall_asleep(key) end
end
ring()
count_events()
return {found, next_due()}
