#!lua flags=allow-oom
-- Say how urgent the most urgent entry is that waits in this partition, without taking it; what is due is promoted.
-- ARGV: prefix, group, n, n lanes from the most urgent on, then nothing, or per lane its longest wait in ms (0: any)
-- Returns {place of the lane from 1 on, or 0 if its oldest entry has waited for too long, or -1 if nothing waits,
--   ms until the next delayed task is due or -1}.

local group, n = ARGV[2], tonumber(ARGV[3])

promote(100)

local paused = {}
local pauses = redis.call('HGETALL', PREFIX .. ':tasks:paused')
for i = 1, #pauses, 2 do
  local till = tonumber(pauses[i + 1])
  paused[pauses[i]] = till == 0 or till > NOW
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
  local stream = ARGV[3 + index]
  local patience = tonumber(ARGV[3 + n + index] or '0')
  if not paused[stream] and (found < 0 or patience > 0) then
    local first = first_of(stream)
    if first and patience > 0 and NOW - id_ms(first) > patience then
      found = 0
    elseif (first or turns[stream]) and found < 0 then
      found = index
    end
  end
end
count_events()
return {found, next_due()}
