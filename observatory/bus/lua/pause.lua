#!lua flags=allow-oom
-- Pause lanes, or let them go on: a paused lane is not taken from until its end time, or until it is resumed.
-- ARGV: prefix, who, end: ms of server time, 0 for none, -1 to resume; then streams
-- Returns how many lanes changed.

local who, till = ARGV[2], tonumber(ARGV[3])
local paused = PREFIX .. ':tasks:paused'
local changed = 0
for at = 4, #ARGV do
  local stream = ARGV[at]
  if till < 0 then
    if redis.call('HDEL', paused, stream) == 1 then
      changed = changed + 1
      event('resumed', '', '', stream, who, '0', '', '', '')
    end
  else
    redis.call('HSET', paused, stream, text(till))
    changed = changed + 1
    event('paused', '', '', stream, who, '0', '', till > 0 and text(till - NOW) or '', '')
  end
end
if changed > 0 then redis.call('PUBLISH', PREFIX .. ':control', 'wake') end
count_events()
return changed
