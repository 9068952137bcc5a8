#!lua flags=no-writes
-- The newest jobs. ARGV: prefix, how many, n, n names of fields. Returns {now, {job, values} …}.

local names = {}
for i = 1, tonumber(ARGV[3]) do names[i] = ARGV[3 + i] end
local found = {NOW_TEXT}
for _, job in ipairs(redis.call('ZRANGE', PREFIX .. ':jobs', 0, tonumber(ARGV[2]) - 1, 'REV')) do
  local values = redis.call('HMGET', PREFIX .. ':job:' .. job, unpack(names))
  if values[1] then found[#found + 1] = {job, values} end
end
return found
