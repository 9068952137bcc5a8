#!lua flags=allow-oom
-- Put work that somebody holds back at the end of its lane, or among the dead letters. Fenced like `claim`.
-- ARGV: as in moving.lua, error of the dead letter (empty: back to the lane); then per entry: item, stream, group, entry,
--   consumer that holds it, deliveries, its idle ms when it was looked at (empty: any), task id, type
-- Outcomes: done (and its new entry), settled, moved, alive, gone.

local message = ARGV[6]

local function to_lane(stream, entry, fields, id, type, attempt)
  if not get(fields, 'arrived') then put(fields, 'arrived', text(id_ms(entry))) end
  if id ~= '' and get(fields, 'id') ~= id then put(fields, 'id', id) end
  local sid = add(stream, fields)
  if not sid then return nil end
  appear(stream)
  if recall(id, 'entry')[1] ~= entry then observe(id, type, stream, attempt) end
  remember(id, RECORD_TTL, 'state', 'queued', 'lane', stream, 'entry', sid, 'attempt', attempt, 'owner', '', 'type', type)
  event('given_back', id, type, stream, WHO, attempt, '', '', entry)
  return sid
end

local answers = each(7, 9, function(at)
  local stream, group, entry, consumer, deliveries = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local id, type = ARGV[at + 6], ARGV[at + 7]
  local problem = holds_still(stream, group, entry, consumer, deliveries, ARGV[at + 5])
  if problem then return problem end
  local row = redis.call('XRANGE', stream, entry, entry)[1]
  if not row then return 'gone' end
  local fields, key = row[2], key_of(row[2])
  local attempt = get(fields, 'attempt') or '1'
  local moved
  if message == '' then
    moved = to_lane(stream, entry, fields, id, type, attempt)
  else
    moved = bury(stream, entry, fields, id, type, WHO, attempt, 'operator', message, '', '')
    if moved and key then order().release(key, id) end
  end
  if not moved then return 'gone' end
  drop(stream, entry)
  take_off(group)
  dropped = {}
  return 'done', moved
end)
if turned then redis.call('PUBLISH', PREFIX .. ':control', 'wake') end
ring()
count_events()
return answers
