#!lua flags=allow-oom
-- Let go of what every group of a lane has settled: with several groups nobody may delete at once.
-- KEYS: lane. ARGV: prefix. Returns how many entries went.

local stream = KEYS[1]
local groups = redis.pcall('XINFO', 'GROUPS', stream)
if groups.err or #groups < 2 then return 0 end

-- The lowest id that some group still needs: its lowest pending entry, else the one behind its last delivered.
local mark
for _, flat in ipairs(groups) do
  local info = {}
  for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
  local lowest = redis.call('XPENDING', stream, info['name'])[2]
  if not lowest then
    local ms, seq = string.match(info['last-delivered-id'], '^(%d+)-(%d+)$')
    lowest = ms .. '-' .. text(tonumber(seq) + 1)
  end
  if not mark or earlier(lowest, mark) then mark = lowest end
end
return redis.call('XTRIM', stream, 'MINID', mark)
