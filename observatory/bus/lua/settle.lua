#!lua flags=allow-oom
-- Settle deliveries: finish, retry later, bury or cancel. Fenced: an old token is refused.
-- ARGV: prefix, group, consumer, then per delivery:
--   stream, entry, deliveries, outcome, id, type, attempt, run ms, delay ms, reason, message
--   outcome: done | retry | dead | cancelled
-- Returns per delivery 'settled', 'again' (this very settle was done before) or 'lost' (the delivery is not ours).

local group, consumer = ARGV[2], ARGV[3]
local ours = held_of_all(group, consumer, 4, 11)

local function retry(key, stream, entry, fields, id, type, attempt, wait, ms, message)
  local member = stream .. ' ' .. entry
  local following = text(tonumber(attempt) + 1)
  put(fields, 'attempt', following)
  if not get(fields, 'arrived') then put(fields, 'arrived', text(id_ms(entry))) end
  delay(member, NOW + wait, stream, fields, id, type, following)
  redis.call('HSET', key, 'state', 'delayed', 'entry', member, 'attempt', following, 'owner', '', 'error', message)
  redis.call('EXPIRE', key, RECORD_TTL)
  event('retried', id, type, stream, consumer, attempt, '', ms, message)
end

-- Whether the record says that this consumer settled this delivery in this way before, and the reply was lost.
local function stands(key, stream, entry, outcome)
  local record = redis.call('HMGET', key, 'state', 'entry', 'owner')
  local state = record[1]
  if outcome == 'retry' then return state == 'delayed' and record[2] == stream .. ' ' .. entry end
  return state == outcome and record[3] == consumer and (outcome == 'dead' or record[2] == entry)
end

local function settle(at)
  local stream, entry, outcome = ARGV[at], ARGV[at + 1], ARGV[at + 3]
  local id, type, attempt, ms = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], ARGV[at + 7]
  local key = record_key(id)
  if ours[stream][entry] ~= tonumber(ARGV[at + 2]) then
    return stands(key, stream, entry, outcome) and 'again' or 'lost'
  end
  if is_cancelled(id) then
    redis.call('SREM', CANCELLED, id)
    -- Whoever cancelled it does not want it tried again, nor among the dead.
    if outcome ~= 'done' then outcome = 'cancelled' end
  end
  ours[stream][entry] = nil
  drop(stream, entry)
  if outcome == 'done' or outcome == 'cancelled' then
    settled(key, outcome)
    event(outcome == 'done' and 'completed' or 'cancelled', id, type, stream, consumer, attempt, '', ms, ARGV[at + 10])
    return 'settled'
  end
  local row = redis.call('XRANGE', stream, entry, entry)[1]
  if not row then
    event('lost_payload', id, type, stream, consumer, attempt, '', ms, ARGV[at + 10])
  elseif outcome == 'retry' then
    retry(key, stream, entry, row[2], id, type, attempt, tonumber(ARGV[at + 8]), ms, ARGV[at + 10])
  else
    bury(stream, entry, row[2], id, type, consumer, attempt, ARGV[at + 9], ARGV[at + 10], ms)
  end
  return 'settled'
end

local answers = {}
for at = 4, #ARGV, 11 do
  answers[#answers + 1] = settle(at)
end
take_off(group)
count_events()
return answers
