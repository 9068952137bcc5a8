#!lua flags=no-writes
-- The groups of one stream with their consumers. KEYS[1] stream. ARGV: prefix, most consumers of a group.
-- Returns per group {name, lag or -1, pending, consumers, last delivered id, oldest pending id or false, id that comes
--   next or false, {{consumer, pending, idle ms, inactive ms or -2 where the engine does not say}}}.

local stream, most = KEYS[1], tonumber(ARGV[2])

local function consumers_of(group)
  local rows = {}
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local info = map_of(flat)
    rows[#rows + 1] = {info['name'], info['pending'], info['idle'], info['inactive'] or -2}
    if #rows == most then break end
  end
  return rows
end

local groups = {}
local infos = redis.call('XLEN', stream) >= 0 and redis.pcall('XINFO', 'GROUPS', stream)
for _, flat in ipairs(infos.err and {} or infos) do
  local info = map_of(flat)
  local name, last = info['name'], info['last-delivered-id']
  local first = redis.call('XPENDING', stream, name, '-', '+', 1)[1]
  local next = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1)[1]
  groups[#groups + 1] = {name, info['lag'] or -1, info['pending'], info['consumers'], last, first and first[1] or false,
    next and next[1] or false, consumers_of(name)}
end
return groups
