-- Take the recorder's lease, or keep it: whoever holds it says so again before it ends. ARGV: prefix, token, ms
-- Returns 1 if it is ours, and 0 if it is another's.

local key = PREFIX .. ':history:recorder'
local holder = redis.call('GET', key)
if holder and holder ~= ARGV[2] then return 0 end
if tonumber(ARGV[3]) > 0 then
  redis.call('SET', key, ARGV[2], 'PX', ARGV[3])
elseif holder then
  redis.call('DEL', key)
end
return 1
