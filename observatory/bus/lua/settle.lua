#!lua flags=allow-oom
-- Settle deliveries: finish, retry later, bury or cancel. Fenced: an old token is refused.
-- ARGV: prefix, group, consumer, then per delivery:
--   stream, entry, deliveries, outcome, id, type, attempt, delay ms, reason, message
--   outcome: done | retry | dead | cancelled
-- Returns per delivery 'settled', 'again' (this very settle was done before) or 'lost' (the delivery is not ours).

local group, consumer = ARGV[2], ARGV[3]

local function fields_of(stream, entry)
  local row = redis.call('XRANGE', stream, entry, entry)[1]
  return row and row[2]
end

local function finish(key, state, id, type, stream, attempt, ms, message)
  redis.call('HSET', key, 'state', state, 'owner', consumer)
  redis.call('EXPIRE', key, SETTLED_TTL)
  event(state == 'done' and 'completed' or 'cancelled', id, type, stream, consumer, attempt, '', ms, message)
end

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

local answers = {}
for at = 4, #ARGV, 10 do
  local stream, entry, deliveries, outcome = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local id, type, attempt = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  local wait, reason, message = tonumber(ARGV[at + 7]), ARGV[at + 8], ARGV[at + 9]
  local key = record_key(id)
  local answer = 'settled'
  if owns(stream, group, entry, consumer, deliveries) then
    local record = redis.call('HMGET', key, 'started', 'cancel')
    -- Whoever cancelled it does not want it tried again, nor among the dead.
    if record[2] and outcome ~= 'done' then outcome = 'cancelled' end
    local ms = record[1] and text(math.max(NOW - tonumber(record[1]), 0)) or ''
    local fields = (outcome == 'retry' or outcome == 'dead') and fields_of(stream, entry)
    if outcome == 'done' or outcome == 'cancelled' then
      finish(key, outcome, id, type, stream, attempt, ms, message)
    elseif not fields then
      event('lost_payload', id, type, stream, consumer, attempt, '', ms, message)
    elseif outcome == 'retry' then
      retry(key, stream, entry, fields, id, type, attempt, wait, ms, message)
    else
      bury(stream, entry, fields, id, type, consumer, attempt, reason, message, ms)
    end
    redis.call('HSET', key, 'settled', stream .. ' ' .. entry .. ' ' .. consumer .. ' ' .. deliveries)
    drop(stream, group, entry)
  else
    local before = redis.call('HGET', key, 'settled')
    local same = before == stream .. ' ' .. entry .. ' ' .. consumer .. ' ' .. deliveries
    answer = same and 'again' or 'lost'
  end
  answers[#answers + 1] = answer
end
count_events()
return answers
