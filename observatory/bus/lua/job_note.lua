#!lua flags=allow-oom
-- How far a job has come, and perhaps that it ends. ARGV: prefix, job, fencing token, lease in ms, at, done, skipped,
--   state to end in (done, paused; empty: it goes on), why, ms for which it is kept
-- Returns {'fenced', ''} or {state, rate or ''}.

local job, token = ARGV[2], ARGV[3]
local key, places = PREFIX .. ':job:' .. job, PREFIX .. ':jobs:places'
local said = redis.call('HMGET', key, 'token', 'state', 'rate', 'place')
if said[1] ~= token then return {'fenced', ''} end
local state = said[2]
redis.call('HSET', key, 'at', ARGV[5], 'done', ARGV[6], 'skipped', ARGV[7], 'until', text(NOW + tonumber(ARGV[4])))
-- Who cancelled it meanwhile was first, and so was who paused it before its last item.
if ARGV[8] ~= '' and state ~= 'cancelled' and (state ~= 'paused' or ARGV[8] == 'done') then
  state = ARGV[8]
  redis.call('HSET', key, 'state', state, 'why', ARGV[9])
end
if state ~= 'running' then redis.call('HSET', key, 'holder', '', 'until', '0') end
if state == 'done' or state == 'cancelled' then
  redis.call('HSETNX', key, 'ended', NOW_TEXT)
  if redis.call('HGET', places, said[4] or '') == job then redis.call('HDEL', places, said[4]) end
end
redis.call('PEXPIRE', key, ARGV[10])
return {state, said[3] or ''}
