#!lua flags=allow-oom
-- Pause places, or let them go on: a lane, a group of a lane (`<stream> U+001F <group>`) or an agent (`U+001F <agent>`).
-- Or close lanes to new work, so that they drain; what is tried again still comes back.
-- ARGV: as in moving.lua, what (paused | closed); then per place: item, field of the hash of pauses, end in ms of server time (0: none,
--   empty: go on), what it must say now (empty: it is not paused)
-- Outcomes: done (and the end that it had, empty for none), changed.

local what = ARGV[6]
local paused = PREFIX .. ':tasks:' .. what
local KINDS = {paused = {'paused', 'resumed'}, closed = {'drained', 'reopened'}}

-- Only a lane as a whole is one to the log; of a group or an agent the name is told.
local function tell(kind, place, ms)
  local whole = not string.find(place, '\31', 1, true)
  local name = string.gsub(place, '\31', ' ')
  event(kind, '', '', whole and place or '', WHO, '0', '', ms, whole and '' or name)
end

local answers = each(7, 4, function(at)
  local place, till = ARGV[at], ARGV[at + 1]
  local before = redis.call('HGET', paused, place) or ''
  if before ~= '' and before ~= '0' and tonumber(before) <= NOW then before = '' end
  if before ~= ARGV[at + 2] then return 'changed', before end
  if till ~= '' and till ~= '0' and tonumber(till) <= NOW then till = '' end
  if till == '' then
    redis.call('HDEL', paused, place)
    tell(KINDS[what][2], place, '')
  else
    redis.call('HSET', paused, place, till)
    tell(KINDS[what][1], place, till ~= '0' and text(till - NOW) or '')
  end
  return 'done', before
end)
redis.call('PUBLISH', PREFIX .. ':control', 'wake')
count_events()
return answers
