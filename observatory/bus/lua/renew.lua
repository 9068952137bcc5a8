#!lua flags=allow-oom
-- Renew leases without touching what passed to somebody else; renewing does not count as a delivery.
-- ARGV: prefix, group, consumer, then per delivery: stream, entry, deliveries, id
-- Returns per delivery 1 (renewed), 0 (lost) or 2 (renewed, and a cancel is requested).

local group, consumer = ARGV[2], ARGV[3]
local ours = held_of_all(group, consumer, 4, 4)
local answers = {}
for at = 4, #ARGV, 4 do
  local stream, entry = ARGV[at], ARGV[at + 1]
  local answer = 0
  if ours[stream][entry] == tonumber(ARGV[at + 2]) then
    -- Claiming an entry whose body is gone would drop it, and with it the settlement that is still to come.
    if redis.call('XRANGE', stream, entry, entry)[1] then
      redis.call('XCLAIM', stream, group, consumer, 0, entry, 'JUSTID')
    end
    answer = is_cancelled(ARGV[at + 3]) and 2 or 1
  end
  answers[#answers + 1] = answer
end
return answers
