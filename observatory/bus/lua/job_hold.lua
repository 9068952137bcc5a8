#!lua flags=allow-oom
-- Become the one executor of a job. ARGV: prefix, job, who executes, lease in ms
-- Returns {'held', fencing token, at, done, skipped, rate or ''}, {'queued', job that holds its place},
--   {'busy', who executes it}, {'over', state} or {'unknown', ''}.

local job, holder, lease = ARGV[2], ARGV[3], tonumber(ARGV[4])
local key, places = PREFIX .. ':job:' .. job, PREFIX .. ':jobs:places'
local said = redis.call('HMGET', key, 'state', 'holder', 'until', 'place', 'token')
local state, held_by, till, place = said[1], said[2], tonumber(said[3] or '0'), said[4]
if not state then return {'unknown', ''} end
if state == 'done' or state == 'cancelled' then return {'over', state} end
if held_by and held_by ~= '' and held_by ~= holder and till > NOW then return {'busy', held_by} end
if place and place ~= '' then
  local other = redis.call('HGET', places, place)
  local lives = other and other ~= job and redis.call('HGET', PREFIX .. ':job:' .. other, 'state')
  if lives and lives ~= 'done' and lives ~= 'cancelled' then
    redis.call('HSET', key, 'state', 'queued', 'holder', holder, 'until', text(NOW + lease), 'waits', other)
    return {'queued', other}
  end
  redis.call('HSET', places, place, job)
end
local token = text(tonumber(said[5] or '0') + 1)
redis.call('HSET', key, 'state', 'running', 'holder', holder, 'until', text(NOW + lease), 'token', token, 'waits', '',
  'why', '')
local now = redis.call('HMGET', key, 'at', 'done', 'skipped', 'rate')
return {'held', token, now[1], now[2], now[3], now[4] or ''}
