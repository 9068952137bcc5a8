#!lua flags=allow-oom
-- Remove consumers of one group that hold nothing and were not heard of for an hour; asking and removing in one atom,
-- because removing one that holds something would destroy its work. KEYS: lane. ARGV: prefix, group

local GONE_MS = 3600000
local removed = 0
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[2])
if consumers.err then return 0 end
for _, flat in ipairs(consumers) do
  local info = {}
  for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
  -- A worker asks at least once a second, so `idle` tells whether its process lives; it is older than `inactive`.
  -- What waits for its ordering key is nobody's.
  if info['pending'] == 0 and (info['idle'] > GONE_MS or info['name'] == '~parked') then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[2], info['name'])
    removed = removed + 1
  end
end
return removed
