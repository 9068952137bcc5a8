-- Put dead letters back into lanes, keeping their ids, and saying where they come from and how often that happened.
-- ARGV: as in moving.lua; then per dead letter: item, entry of the dead-letter stream, stream to go to, task id, type,
--   attempt, priority (empty: as it says)
-- Outcomes: done (and its entry), gone, no lane.

local OURS = {reason = true, last_error = true, attempts = true, first_seen = true, source = true, source_id = true,
  worker = true, digest = true, was = true}

-- Our fields stand at the end; an original field of the same name stands before them and stays.
local function original(fields)
  local last = #fields - 1
  local seen = {}
  while last > 0 and OURS[fields[last]] and not seen[fields[last]] do
    seen[fields[last]] = true
    last = last - 2
  end
  local kept = {}
  for i = 1, last, 2 do
    if fields[i] ~= 'arrived' then
      kept[#kept + 1] = fields[i]
      kept[#kept + 1] = fields[i + 1]
    end
  end
  return kept
end

local dlq = PREFIX .. ':tasks:dlq'
local answers = each(6, 7, function(at)
  local dead, stream, id, type = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local attempt, priority = ARGV[at + 4], ARGV[at + 5]
  local row = redis.call('XRANGE', dlq, dead, dead)[1]
  if not row then return 'gone' end
  local fields = original(row[2])
  put(fields, 'attempt', attempt)
  put(fields, 'requeues', text((tonumber(get(fields, 'requeues')) or 0) + 1))
  put(fields, 'requeued_from', dead)
  if priority ~= '' and get(fields, 'priority') then put(fields, 'priority', priority) end
  local entry = add(stream, fields)
  if not entry then return 'no lane' end
  appear(stream)
  redis.call('XDEL', dlq, dead)
  remember(id, RECORD_TTL, 'state', 'queued', 'lane', stream, 'entry', entry, 'attempt', attempt, 'owner', '', 'type',
    type)
  redis.pcall('HDEL', record_key(id), 'reason')
  forget_cancel(id)
  local key = key_of(fields)
  if key then enlist(key, id) end
  event('requeued', id, type, stream, WHO, attempt, '', '', dead)
  return 'done', entry, difference(row[2], fields)
end)
ring()
count_events()
return answers
