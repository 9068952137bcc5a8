#!lua flags=allow-oom
-- Cancel a task by id, wherever it is. ARGV: prefix, group, id, who
-- A queued entry is only marked: deleting what a group was not given yet would ruin its lag. `take` drops it.
-- Returns 'cancelled', 'requested' (it runs; its worker will stop it), 'settled' (too late) or 'unknown'.

local group, id, who = ARGV[2], ARGV[3], ARGV[4]
local key = record_key(id)
local record = redis.call('HMGET', key, 'state', 'lane', 'entry', 'attempt', 'type')
local state, stream, entry = record[1], record[2], record[3]
if not state then return 'unknown' end
if state == 'done' or state == 'dead' then return 'settled' end
if state == 'cancelled' then return 'cancelled' end

if state == 'delayed' then
  redis.call('ZREM', PREFIX .. ':tasks:delayed', entry)
  redis.call('HDEL', PREFIX .. ':tasks:delayed:bodies', entry)
else
  local held = redis.pcall('XPENDING', stream, group, entry, entry, 1)
  if not held.err and held[1] then
    redis.call('HSET', key, 'cancel', who)
    redis.call('SADD', CANCELLED, id)
    redis.call('EXPIRE', CANCELLED, RECORD_TTL)
    return 'requested'
  end
  redis.call('SADD', CANCELLED, id)
  redis.call('EXPIRE', CANCELLED, RECORD_TTL)
end
redis.call('HSET', key, 'state', 'cancelled', 'owner', '')
redis.call('EXPIRE', key, SETTLED_TTL)
event('cancelled', id, record[5] or '', stream, who, record[4] or '1', '', '', '')
count_events()
return 'cancelled'
