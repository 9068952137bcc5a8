#!lua flags=allow-oom
-- Cancel tasks. ARGV: as in moving.lua; then per task: item, task id
-- Outcomes: done, requested (it runs; its worker will stop it), settled, unknown.

local answers = each(6, 2, function(at)
  local outcome, kept = cancel(ARGV[at], WHO)
  return outcome == 'cancelled' and 'done' or outcome, '', kept
end)
count_events()
return answers
