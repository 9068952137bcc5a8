-- Mark a delivered entry as running, or divert it; used by `take` and by `adopt`.
-- Returns true if the entry is to run.
local function start(stream, consumer, entry, deliveries, id, type, attempt, arrived, ttl_ms)
  local key = record_key(id)
  if is_cancelled(id) then
    local record = redis.call('HMGET', key, 'state', 'entry', 'cancel')
    if record[2] == entry then
      if record[1] ~= 'cancelled' then
        settled(key, 'cancelled')
        event('cancelled', id, type, stream, record[3] or '', attempt, '', '', '')
      end
      redis.call('SREM', CANCELLED, id)
      drop(stream, entry)
      return false
    end
  end
  if NOW > arrived + ttl_ms then
    local fields = redis.call('XRANGE', stream, entry, entry)[1]
    if fields then
      bury(stream, entry, fields[2], id, type, consumer, attempt, 'stale',
        string.format('waited %.1f s, lives %.1f s', (NOW - arrived) / 1000, ttl_ms / 1000), text(NOW - arrived))
    end
    drop(stream, entry)
    return false
  end
  -- A record made by `publish` lacks only the owner; one that lacks the state as well was never made.
  if redis.call('HSET', key, 'state', 'running', 'owner', consumer) > 1 then
    observe(key, id, type, stream, entry, attempt)
  end
  event(deliveries > 1 and 'redelivered' or 'taken', id, type, stream, consumer, attempt, '',
    NOW > arrived and text(NOW - arrived) or '0', '')
  return true
end
