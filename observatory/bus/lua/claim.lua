#!lua flags=allow-oom
-- Give work that somebody holds to another consumer. Fenced: what was settled, renewed or taken over is left alone.
-- ARGV: as in moving.lua; then per entry: item, stream, group, entry, consumer that holds it, deliveries, its idle ms
--   when it was looked at (empty: any), consumer that gets it, its idle ms and deliveries from then on, task id, type
-- Outcomes: done (and its idle ms as it was), settled, moved, alive, gone.

local answers = each(6, 12, function(at)
  local stream, group, entry, consumer, deliveries = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local problem = holds_still(stream, group, entry, consumer, deliveries, ARGV[at + 5])
  if problem then return problem end
  local idle = redis.call('XPENDING', stream, group, entry, entry, 1)[1][3]
  local claimed = redis.call('XCLAIM', stream, group, ARGV[at + 6], 0, entry, 'IDLE', ARGV[at + 7], 'RETRYCOUNT',
    ARGV[at + 8], 'JUSTID')
  if not claimed[1] then return 'gone' end
  event('claimed', ARGV[at + 9], ARGV[at + 10], stream, ARGV[at + 6], '0', '', '', consumer)
  return 'done', text(idle)
end)
count_events()
return answers
