#!lua flags=allow-oom
-- Steer a job. ARGV: prefix, job, what (pause | cancel | rate | undone), value, who
-- Returns {1, state}, {0, state} if it is too late, or {0, ''} if there is no such job.

local job, what, value, who = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key, places = PREFIX .. ':job:' .. job, PREFIX .. ':jobs:places'
local said = redis.call('HMGET', key, 'state', 'place')
local state = said[1]
if not state then return {0, ''} end
if what == 'undone' then
  redis.call('HSET', key, 'undone', value)
  return {1, state}
end
if state == 'done' or state == 'cancelled' then return {0, state} end
if what == 'rate' then
  redis.call('HSET', key, 'rate', value)
elseif what == 'pause' then
  state = 'paused'
  redis.call('HSET', key, 'state', state, 'why', 'by ' .. who)
else
  state = 'cancelled'
  redis.call('HSET', key, 'state', state, 'why', 'by ' .. who, 'ended', NOW_TEXT)
  if redis.call('HGET', places, said[2] or '') == job then redis.call('HDEL', places, said[2]) end
end
return {1, state}
