#!lua flags=allow-oom
-- Let go of what every group of a lane has settled: with several groups nobody may delete at once, and foreign
-- consumers acknowledge without deleting. The newest delivered entry stays, so that the lag can be told.
-- KEYS: lane. ARGV: prefix. Returns how many entries went.

local stream = KEYS[1]
local groups = redis.pcall('XINFO', 'GROUPS', stream)
if groups.err or #groups == 0 then return 0 end

-- The lowest id that some group still needs: its lowest pending entry, else its last delivered.
local mark
for _, flat in ipairs(groups) do
  local info = {}
  for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
  local lowest = redis.call('XPENDING', stream, info['name'])[2] or info['last-delivered-id']
  if not mark or earlier(lowest, mark) then mark = lowest end
end
return redis.call('XTRIM', stream, 'MINID', mark)
