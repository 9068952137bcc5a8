#!lua flags=allow-oom
-- Settle deliveries: finish, retry later, bury or cancel. Fenced: an old token is refused.
-- ARGV: prefix, group, consumer, n, then per delivery:
--   stream, entry, deliveries, outcome, id, type, attempt, run ms
--   outcome: done | retry | snooze | dead | cancelled
-- then for those that have more to say: place among the n, delay ms, reason, message, digest, result, its type,
--   reply stream, correlation id, ordering key.
-- Returns per delivery 'settled', 'again' (this very settle was done before), 'lost' (the delivery is not ours) or
-- 'blocked' (something else stands in the place of the dead letters: try again); and behind them 'turn' if a parked
-- task may run now.

local WIDTH, EXTRA, REPLY_TTL = 8, 10, 3600000
local group, consumer, n = ARGV[2], ARGV[3], tonumber(ARGV[4])
local behind = 5 + n * WIDTH
local ours = held_of_all(group, consumer, 5, WIDTH, behind - 1)
local extras = {}
for at = behind, #ARGV, EXTRA do
  extras[tonumber(ARGV[at])] = {wait = tonumber(ARGV[at + 1]), reason = ARGV[at + 2], message = ARGV[at + 3],
    digest = ARGV[at + 4], result = ARGV[at + 5], type = ARGV[at + 6], reply_to = ARGV[at + 7],
    correlation = ARGV[at + 8], key = ARGV[at + 9] ~= '' and ARGV[at + 9] or nil}
end
local PLAIN = {wait = 0, reason = '', message = '', digest = '', result = '', reply_to = ''}

-- Answer whoever waits. The stream is named by the requester, so only names that are reply streams are believed.
local function reply(extra, id, status, message)
  local head = PREFIX .. ':reply:'
  if string.sub(extra.reply_to, 1, #head) ~= head then return end
  redis.pcall('XADD', extra.reply_to, 'MAXLEN', '~', 1000, '*', 'correlation_id', extra.correlation, 'task', id,
    'status', status, 'payload', extra.result, 'content_type', extra.type, 'error', message)
  redis.call('PEXPIRE', extra.reply_to, REPLY_TTL)
end

local function again(stream, entry, fields, id, type, attempt, following, wait, ms, message, key)
  local member = stream .. ' ' .. entry
  put(fields, 'attempt', following)
  if not get(fields, 'arrived') then put(fields, 'arrived', text(id_ms(entry))) end
  -- A foreign entry may carry its id under another name, or none that can be used: it keeps what it ran under.
  if get(fields, 'id') ~= id then put(fields, 'id', id) end
  if key and get(fields, 'ordering_key') ~= key then put(fields, 'ordering_key', key) end
  delay(member, NOW + wait, stream, fields, id, type, following)
  remember(id, RECORD_TTL + math.floor(wait / 1000), 'state', 'delayed', 'entry', member, 'attempt', following,
    'owner', '', 'error', message)
  event(following == attempt and 'snoozed' or 'retried', id, type, stream, consumer, attempt, '', ms, message)
end

-- Whether the record says that this consumer settled this delivery in this way before, and the reply was lost.
local function stands(id, stream, entry, outcome, attempt)
  local record = recall(id, 'state', 'entry', 'owner', 'attempt')
  local state = record[1]
  if outcome == 'snooze' then return state == 'delayed' and record[2] == stream .. ' ' .. entry end
  -- A later attempt is proof that this one was settled as failed, whatever has become of it since.
  if outcome == 'retry' then return (tonumber(record[4]) or 1) > tonumber(attempt) end
  return state == outcome and record[3] == consumer and (outcome == 'dead' or record[2] == entry)
end

local function settle(at, extra)
  local stream, entry, outcome = ARGV[at], ARGV[at + 1], ARGV[at + 3]
  local id, type, attempt, ms, message = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], ARGV[at + 7], extra.message
  local key, gone = extra.key, false
  if ours[stream][entry] ~= tonumber(ARGV[at + 2]) then
    return stands(id, stream, entry, outcome, attempt) and 'again' or 'lost'
  end
  if is_cancelled(id) then
    forget_cancel(id)
    -- Whoever cancelled it does not want it tried again, nor among the dead.
    if outcome ~= 'done' then outcome = 'cancelled' end
  end
  if outcome == 'done' or outcome == 'cancelled' then
    settled(id, outcome, consumer)
    if extra.result ~= '' then remember(id, nil, 'result', extra.result, 'result_type', extra.type) end
    event(outcome == 'done' and 'completed' or 'cancelled', id, type, stream, consumer, attempt, '', ms, message)
  else
    local row = redis.call('XRANGE', stream, entry, entry)[1]
    if not row then
      gone = true
      event('lost_payload', id, type, stream, consumer, attempt, '', ms, message)
    elseif outcome == 'dead' then
      if not bury(stream, entry, row[2], id, type, consumer, attempt, extra.reason, message, ms, extra.digest) then
        return 'blocked'
      end
    else
      local following = outcome == 'snooze' and attempt or text(tonumber(attempt) + 1)
      again(stream, entry, row[2], id, type, attempt, following, extra.wait, ms, message, key)
    end
  end
  ours[stream][entry] = nil
  drop(stream, entry)
  local final = outcome ~= 'retry' and outcome ~= 'snooze'
  if key and (final or gone) then order().release(key, id) end
  if final and extra.reply_to ~= '' then reply(extra, id, outcome, message) end
  return 'settled'
end

local answers = {}
for place = 1, n do
  answers[place] = settle(5 + (place - 1) * WIDTH, extras[place] or PLAIN)
end
if turned then answers[n + 1] = 'turn' end
take_off(group)
ring()
count_events()
return answers
