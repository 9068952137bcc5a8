#!lua flags=allow-oom
-- Want tasks after all that were cancelled while they waited, and that nobody has dropped yet.
-- ARGV: as in moving.lua, and the job that cancelled; then per task: item, task id
-- Outcomes: done, taken (it was dropped already), gone (it is something else by now).

local cancelled_by = ARGV[6]

local answers = each(7, 2, function(at)
  local id = ARGV[at]
  local _, _, kept = answered(cancelled_by, id)
  local record = recall(id, 'state', 'lane', 'entry', 'attempt', 'type')
  local state, stream, entry, attempt, type = unpack(record)
  if not kept then return 'taken' end
  if state ~= 'cancelled' or entry ~= kept[1] then return 'gone' end
  if kept[3] then
    redis.call('HSET', PREFIX .. ':tasks:delayed:bodies', entry, kept[3])
    redis.call('ZADD', PREFIX .. ':tasks:delayed', kept[2], entry)
    remember(id, RECORD_TTL, 'state', 'delayed')
    event('rescheduled', id, type or '', stream, WHO, attempt or '1', '', '', '')
    return 'done'
  end
  -- Whoever took it, or takes it while this runs, has dropped it: then it is marked no more.
  if redis.call('SISMEMBER', CANCELLED, id) == 0 or not redis.call('XRANGE', stream, entry, entry)[1] then
    return 'taken'
  end
  forget_cancel(id)
  remember(id, RECORD_TTL, 'state', 'queued')
  appear(stream)
  event('revived', id, type or '', stream, WHO, attempt or '1', '', '', '')
  return 'done', entry
end)
ring()
count_events()
return answers
