#!lua flags=allow-oom
-- Remove consumers that hold nothing: with what it holds a consumer would take work along.
-- ARGV: as in moving.lua; then per consumer: item, stream, group, consumer
-- Outcomes: done, holds, gone.

local answers = each(6, 4, function(at)
  local stream, group, consumer = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local rows = redis.pcall('XPENDING', stream, group, '-', '+', 1, consumer)
  if rows.err then return 'gone' end
  if rows[1] then return 'holds' end
  redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer)
  event('consumer_removed', '', '', stream, WHO, '0', '', '', consumer)
  return 'done'
end)
count_events()
return answers
