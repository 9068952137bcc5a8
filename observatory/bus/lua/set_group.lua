#!lua flags=allow-oom
-- Move the position of groups. ARGV: as in moving.lua; then per group: item, stream, group, last delivered id as it is
--   now, last delivered id as it is to be
-- Outcomes: done (and the position before), moved, gone.

local function position(stream, group)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  for _, flat in ipairs(groups.err and {} or groups) do
    local info = {}
    for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
    if info['name'] == group then return info['last-delivered-id'] end
  end
  return nil
end

local answers = each(6, 5, function(at)
  local stream, group, seen, to = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local before = position(stream, group)
  if not before then return 'gone' end
  if before ~= seen then return 'moved' end
  redis.call('XGROUP', 'SETID', stream, group, to)
  appear(stream)
  event('group_moved', '', '', stream, WHO, '0', '', '', group .. ' ' .. before .. ' ' .. to)
  return 'done', before
end)
ring()
redis.call('PUBLISH', PREFIX .. ':control', 'wake')
count_events()
return answers
