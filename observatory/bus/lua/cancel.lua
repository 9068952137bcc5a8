#!lua flags=allow-oom
-- Cancel a task by id, wherever it is. ARGV: prefix, id, who. Returns what cancelling.lua says.

local outcome = cancel(ARGV[2], ARGV[3])
count_events()
return outcome
