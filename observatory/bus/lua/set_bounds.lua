#!lua flags=allow-oom
-- Say what the bus keeps. ARGV: as in moving.lua; then per bound: item, its name, value (empty: its default), what it
--   must say now (empty: nothing)
-- Outcomes: done (and what it said before), changed.

local kept = PREFIX .. ':retention'
local answers = each(6, 4, function(at)
  local name, value = ARGV[at], ARGV[at + 1]
  local before = redis.call('HGET', kept, name) or ''
  if before ~= ARGV[at + 2] then return 'changed', before end
  if value == '' then redis.call('HDEL', kept, name) else redis.call('HSET', kept, name, value) end
  return 'done', before
end)
return answers
