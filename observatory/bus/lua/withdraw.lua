#!lua flags=allow-oom
-- Take requeued work back that no group was given yet: it is the dead letter again that it was, field by field.
-- The entry in the lane is only marked, for deleting what a group was not given yet would ruin its lag; `take` drops it.
-- ARGV: as in moving.lua, and the job that requeued; then per entry: item, stream, entry, task id, type, item of that job
-- Outcomes: done (and the dead letter), taken, gone.

local requeued_by = ARGV[6]

local function is_taken(stream, entry)
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    for i = 1, #flat, 2 do
      if flat[i] == 'last-delivered-id' and not earlier(flat[i + 1], entry) then return true end
    end
  end
  return false
end

local answers = each(7, 6, function(at)
  local stream, entry, id, type = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local outcome, _, kept = answered(requeued_by, ARGV[at + 4])
  local rows = redis.pcall('XRANGE', stream, entry, entry)
  if outcome ~= 'done' or not kept or rows.err then return 'gone' end
  local row = rows[1]
  -- Settled work is deleted, and so is what was cancelled and dropped.
  if not row or is_taken(stream, entry) then return 'taken' end
  local said = recall(id, 'state', 'entry')
  if said[2] == entry and said[1] ~= 'queued' then return 'taken' end
  local fields = restored(kept, row[2])
  if not get(fields, 'was') then put(fields, 'was', string.match(ARGV[at + 4], '^[^@]*')) end
  local dead = add(PREFIX .. ':tasks:dlq', fields)
  if not dead then return 'gone' end
  redis.call('SADD', CANCELLED, stream .. ' ' .. entry)
  redis.call('EXPIRE', CANCELLED, RECORD_TTL)
  local reason = get(fields, 'reason') or ''
  remember(id, SETTLED_TTL, 'state', 'dead', 'lane', PREFIX .. ':tasks:dlq', 'entry', dead, 'reason', reason)
  event('restored', id, type, stream, WHO, '0', reason, '', entry)
  local key = key_of(fields)
  if key then order().release(key, id) end
  return 'done', dead
end)
if turned then redis.call('PUBLISH', PREFIX .. ':control', 'wake') end
count_events()
return answers
