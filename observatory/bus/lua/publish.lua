-- Publish tasks. An id that the bus remembers is a repeated send: it is answered, not added again.
-- Tasks of one lane with the same field names share both: such a shape is sent once a call.
-- ARGV: prefix, lane bound, shapes, then per shape: stream, queue (empty: shared), n, n names, of which the first three
--   are `id`, `type` and `from`;
--   then per task: shape, delay ms, dedupe (empty, or `<ttl ms>:<key>`), a value for each of its names
-- Returns per task its entry if it is queued, else {'delayed' | 'duplicate' | 'busy', entry, twin} or
-- {'refused', why, ''}; the twin is the id of the task that was published under the same dedupe key before.

local bound = tonumber(ARGV[2])
local kind_of = type
local shapes = {}
local at = 4
for i = 1, tonumber(ARGV[3]) do
  local names = {stream = ARGV[at], queue = ARGV[at + 1]}
  for j = 1, tonumber(ARGV[at + 2]) do
    names[j] = ARGV[at + 2 + j]
    if names[j] == 'ttl' then names.ttl = j end
    if names[j] == 'ordering_key' then names.key = j end
  end
  shapes[i] = names
  at = at + 3 + #names
end

local lengths = {}
local function length_of(stream)
  local length = lengths[stream]
  if not length then
    length = redis.pcall('XLEN', stream)
    -- Something else stands in the lane's place: adding will say so.
    if kind_of(length) == 'table' then length = 0 end
    lengths[stream] = length
  end
  return length
end

-- Lanes that an operator drains take nothing new; nearly always there is none.
local CLOSED = PREFIX .. ':tasks:closed'
local any_closed = redis.call('EXISTS', CLOSED) == 1
local function is_closed(stream)
  local till = any_closed and redis.call('HGET', CLOSED, stream)
  return till and (till == '0' or tonumber(till) > NOW)
end

-- The task that was published under a dedupe key before; the key is taken if there was none.
local function deduplicated(dedupe, id)
  local ttl, name = string.match(dedupe, '^(%d+):(.*)$')
  local key = PREFIX .. ':dedupe:' .. name
  local before = redis.pcall('HGET', key, 'task')
  if kind_of(before) == 'string' then return before end
  if not before then
    redis.call('HSET', key, 'task', id)
    redis.call('PEXPIRE', key, ttl)
  end
  return nil
end

local answers = {}
while at <= #ARGV do
  local names, wait, dedupe = shapes[tonumber(ARGV[at])], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local stream, fields = names.stream, {}
  for j = 1, #names do
    fields[2 * j - 1] = names[j]
    fields[2 * j] = ARGV[at + 2 + j]
  end
  local id, type, sender = fields[2], fields[4], fields[6]
  at = at + 3 + #names

  local known = redis.call('EXISTS', record_key(id)) == 1 and recall(id, 'entry')[1]
  local outcome, entry
  local twin = not known and dedupe ~= '' and length_of(stream) < bound and deduplicated(dedupe, id)
  if twin then
    id, known = twin, recall(twin, 'entry')[1] or ''
  end
  if known then
    outcome, entry = 'duplicate', known
  elseif is_closed(stream) then
    outcome, entry = 'drained', ''
  elseif length_of(stream) >= bound then
    outcome, entry = 'busy', ''
  elseif wait > 0 then
    outcome, entry = 'delayed', 'id:' .. id
    delay(entry, NOW + wait, stream, fields, id, type, '1')
  else
    local why
    outcome = 'queued'
    entry, why = add(stream, fields)
    if entry then appear(stream) else outcome, entry = 'refused', why end
    lengths[stream] = lengths[stream] + 1
  end
  if outcome == 'queued' or outcome == 'delayed' then
    if names.queue ~= '' then redis.call('SADD', PREFIX .. ':tasks:queues', names.queue) end
    -- It may be settled at the very end of its life, and is to be remembered for a day from then on.
    local lives = names.ttl and tonumber(fields[2 * names.ttl]) or RECORD_TTL
    remember(id, math.ceil(wait / 1000 + math.min(lives, RECORD_TTL)) + SETTLED_TTL, 'state', outcome, 'lane', stream, 'entry', entry, 'type', type)
    -- After a jump of the clock ids stay in the future; the record says when the task really came.
    if outcome == 'queued' and string.sub(entry, 1, #NOW_TEXT) ~= NOW_TEXT and id_ms(entry) > NOW + 1000 then
      remember(id, nil, 'arrived', NOW_TEXT)
    end
    -- Scheduled work takes its place in the order when it is due.
    if names.key and outcome == 'queued' then enlist(fields[2 * names.key], id) end
    event(wait > 0 and 'scheduled' or 'published', id, type, stream, sender, '1', '', '', '')
  end
  answers[#answers + 1] = outcome == 'queued' and entry or {outcome, entry, twin or ''}
end
ring()
count_events()
return answers
