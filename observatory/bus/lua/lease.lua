-- Take the recorder's lease, or keep it: whoever holds it says so again before it ends. ARGV: prefix, token, ms
-- Returns 1 if it is ours, and 0 if it is another's.

local key = PREFIX .. ':history:recorder'
local held = redis.call('HMGET', key, 'token', 'until')
local ours = held[1] == ARGV[2]
if held[1] and not ours and tonumber(held[2]) > NOW then return 0 end
if tonumber(ARGV[3]) > 0 then
  redis.call('HSET', key, 'token', ARGV[2], 'until', text(NOW + ARGV[3]))
  redis.call('PEXPIRE', key, ARGV[3])
elseif ours then
  redis.call('UNLINK', key)
end
return 1
