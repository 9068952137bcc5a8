#!lua flags=allow-oom
-- Write a job down before its first item is touched. ARGV: prefix, job, ms for which it is kept, most jobs to keep, then
--   its fields and values
-- Returns 1, or 0 if it is there already.

local job, keep, most = ARGV[2], ARGV[3], tonumber(ARGV[4])
local key, index = PREFIX .. ':job:' .. job, PREFIX .. ':jobs'
if redis.call('EXISTS', key) == 1 then return 0 end
redis.call('HSET', key, 'created', NOW_TEXT, 'token', '0', 'at', '0', 'done', '0', 'skipped', '0', unpack(ARGV, 5))
redis.call('PEXPIRE', key, keep)
redis.call('ZADD', index, NOW_TEXT, job)
for _, old in ipairs(redis.call('ZRANGE', index, 0, -most - 1)) do
  -- Of those that are not over the index is the only trace.
  local state = redis.call('HGET', PREFIX .. ':job:' .. old, 'state')
  if not state or state == 'done' or state == 'cancelled' then redis.call('ZREM', index, old) end
end
return 1
