-- Mark a delivered entry as running, or divert it; used by `take` and by `start`.
-- Returns true if the entry is to run.
local function start(stream, group, consumer, entry, deliveries, id, type, attempt, arrived, ttl_ms)
  local key = record_key(id)
  observe(key, id, type, stream, entry, attempt)
  local record = redis.call('HMGET', key, 'state', 'entry', 'cancel')
  if record[2] == entry and (record[1] == 'cancelled' or record[3]) then
    if record[1] ~= 'cancelled' then
      redis.call('HSET', key, 'state', 'cancelled', 'owner', '')
      redis.call('EXPIRE', key, SETTLED_TTL)
      event('cancelled', id, type, stream, record[3], attempt, '', '', '')
    end
    drop(stream, group, entry)
    return false
  end
  if NOW > arrived + ttl_ms then
    local fields = redis.call('XRANGE', stream, entry, entry)[1]
    if fields then
      bury(stream, entry, fields[2], id, type, consumer, attempt, 'stale',
        string.format('waited %.1f s, lives %.1f s', (NOW - arrived) / 1000, ttl_ms / 1000), text(NOW - arrived))
    end
    drop(stream, group, entry)
    return false
  end
  redis.call('HSET', key, 'state', 'running', 'lane', stream, 'entry', entry, 'attempt', attempt, 'owner', consumer,
    'started', text(NOW), 'type', type)
  local kind = deliveries > 1 and 'redelivered' or 'taken'
  event(kind, id, type, stream, consumer, attempt, '', text(math.max(NOW - arrived, 0)), '')
  return true
end
