#!lua flags=allow-oom
-- Start entries that reached this consumer by a blocked read, by a claim, or in a foreign form.
-- ARGV: prefix, group, consumer, then per entry: stream, entry, deliveries, id, type, attempt, arrived ms, ttl ms,
--   ordering key (empty: none)
-- Returns per entry 1 (run it), 0 (diverted: cancelled, stale or parked) or -1 (no longer ours).

local group, consumer = ARGV[2], ARGV[3]
local ours = held_of_all(group, consumer, 4, 9)
local answers = {}
for at = 4, #ARGV, 9 do
  local stream, entry, deliveries = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local answer = -1
  if ours[stream][entry] == deliveries then
    local key = ARGV[at + 8] ~= '' and ARGV[at + 8] or nil
    answer = start(stream, group, consumer, entry, deliveries, ARGV[at + 3], ARGV[at + 4], ARGV[at + 5],
      tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7]), key) and 1 or 0
  end
  answers[#answers + 1] = answer
end
take_off(group)
count_events()
return answers
