#!lua flags=allow-oom
-- Write down facts that no change of state goes with. ARGV: prefix, then per fact: kind, lane, agent, reason, detail

for at = 2, #ARGV, 5 do
  event(ARGV[at], '', '', ARGV[at + 1], ARGV[at + 2], '0', ARGV[at + 3], '', ARGV[at + 4])
end
count_events()
return 1
