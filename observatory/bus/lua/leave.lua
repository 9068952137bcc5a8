#!lua flags=allow-oom
-- Remove a consumer from groups where it holds nothing; deleting one that holds something would destroy its work.
-- It is no sleeper any more either. KEYS: lanes. ARGV: prefix, group, consumer. Returns how many groups it left.

local left = 0
for _, stream in ipairs(KEYS) do
  local held = redis.pcall('XPENDING', stream, ARGV[2], '-', '+', 1, ARGV[3])
  if not held.err and #held == 0 then
    redis.call('XGROUP', 'DELCONSUMER', stream, ARGV[2], ARGV[3])
    left = left + 1
  end
  if NUMBER then redis.call('ZREM', sleepers_of(stream), ARGV[2] .. '\31' .. ARGV[3]) end
end
return left
