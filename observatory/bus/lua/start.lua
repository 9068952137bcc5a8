-- Mark a delivered entry as running, or divert it; used by `take`, `begin` and `adopt`.
-- Returns true if the entry is to run. `key` is its ordering key, or nil.
local function start(stream, group, consumer, entry, deliveries, id, type, attempt, arrived, ttl_ms, key)
  if any_cancelled() and is_cancelled(stream .. ' ' .. entry) then
    drop(stream, entry)
    return false
  end
  local record = recall(id, 'entry', 'arrived')
  local known = record[1] == entry
  if known and record[2] then arrived = math.min(arrived, tonumber(record[2]) or arrived) end
  if known and is_cancelled(id) then
    local said = recall(id, 'state', 'cancel')
    if said[1] ~= 'cancelled' then
      settled(id, 'cancelled', '')
      event('cancelled', id, type, stream, said[2] or '', attempt, '', '', '')
    end
    forget_cancel(id)
    drop(stream, entry)
    if key then order().release(key, id) end
    return false
  end
  if NOW > arrived + ttl_ms then
    local row = redis.call('XRANGE', stream, entry, entry)[1]
    local why = string.format('waited %.1f s, lives %.1f s', (NOW - arrived) / 1000, ttl_ms / 1000)
    if not row or bury(stream, entry, row[2], id, type, consumer, attempt, 'stale', why, text(NOW - arrived)) then
      drop(stream, entry)
      if key then order().release(key, id) end
    end
    return false
  end
  local runs = not key or order().is_next(key, id)
  -- That it runs, and with whom, the engine knows by itself: see record.lua.
  if not known then
    remember(id, RECORD_TTL, 'state', 'queued', 'lane', stream, 'entry', entry, 'attempt', attempt, 'owner', '',
      'type', string.sub(type, 1, 128))
    observe(id, type, stream, attempt)
  end
  if not runs then
    order().park(group, stream, entry, key, id)
    return false
  end
  event(deliveries > 1 and 'redelivered' or 'taken', id, type, stream, consumer, attempt, '',
    NOW > arrived and text(NOW - arrived) or '0', '')
  return true
end
