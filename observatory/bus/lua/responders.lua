#!lua flags=no-writes
-- Say whether anybody alive serves a queue.
-- ARGV: prefix, queue, lane stream. Returns 1 or 0.

local PAGE = 100
local BLOCKED_MS = 60000  -- a consumer that does not beat is taken for alive if it asked within this time
local queue = ARGV[2]
local seen, known = PREFIX .. ':agents:seen', PREFIX .. ':agents'

local function serves(packed)
  local fields = cmsgpack.unpack(packed).fields
  local said = {}
  for i = 1, #fields, 2 do said[string.lower(fields[i])] = fields[i + 1] end
  if said.status == 'stopping' or said.status == 'stopped' then return false end
  if string.sub(queue, 1, 1) == '@' then return said.agent == string.sub(queue, 2) end
  -- Words between commas, or a JSON list.
  for word in string.gmatch(said.capabilities or '', '[^,%[%]"%s]+') do
    if word == queue then return true end
  end
  return false
end

local from = 0
repeat
  local names = redis.call('ZRANGEBYSCORE', seen, '(' .. text(NOW), '+inf', 'LIMIT', from, PAGE)
  for _, packed in ipairs(#names > 0 and redis.call('HMGET', known, unpack(names)) or {}) do
    if packed and serves(packed) then return 1 end
  end
  from = from + PAGE
until #names < PAGE

-- Foreign workers do not beat; what shows is that they ask. Before Redis 7.2 an engine notes a consumer only when it is
-- given something.
local groups = redis.pcall('XINFO', 'GROUPS', ARGV[3])
for _, group in ipairs(groups.err and {} or groups) do
  for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', ARGV[3], group[2])) do
    if row[2] ~= '~parked' and row[6] < BLOCKED_MS and redis.call('HEXISTS', known, row[2]) == 0 then return 1 end
  end
end
return 0
