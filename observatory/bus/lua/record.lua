#!lua flags=no-writes
-- What the bus remembers of a task, and who has it in hand: being delivered is written down by the engine alone, so
-- that taking a task costs no write of ours. ARGV: prefix, id
-- Returns {record as a flat list, consumer that holds its entry or ''}.

local known = redis.call('HGETALL', PREFIX .. ':task:' .. ARGV[2])
local said = {}
for i = 1, #known, 2 do said[known[i]] = known[i + 1] end
local groups = said.state == 'queued' and said.lane and said.entry and redis.pcall('XINFO', 'GROUPS', said.lane) or {}
if groups.err then groups = {} end
for _, info in ipairs(groups) do
  local row = redis.call('XPENDING', said.lane, info[2], said.entry, said.entry, 1)[1]
  if row and row[2] ~= '~parked' then return {known, row[2]} end
end
return {known, ''}
