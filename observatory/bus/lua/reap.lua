#!lua flags=allow-oom
-- Take over what dead or silent consumers hold in one lane.
-- KEYS: lane. ARGV: prefix, group, consumer, min idle ms, cursor, count
-- Returns {next cursor, {{entry, fields, deliveries} …}, {id of a lost payload …}}.

local stream = KEYS[1]
local group, consumer, want = ARGV[2], ARGV[3], tonumber(ARGV[6])
local PAGES = 500  -- one XAUTOCLAIM looks at ten entries for each that it may claim; so many calls bound this one
local cursor, claimed, lost = ARGV[5], {}, {}
for _ = 1, PAGES do
  local reply = redis.pcall('XAUTOCLAIM', stream, group, consumer, ARGV[4], cursor, 'COUNT', want - #claimed)
  if reply.err then
    -- No group or a foreign key in the lane's place: there is nothing to take over, and `take` says why.
    cursor = '0-0'
    break
  end
  cursor = reply[1]
  for _, row in ipairs(reply[2]) do
    if row and row[2] then
      local deliveries = held(stream, group, consumer, row[1], row[1])[row[1]]
      claimed[#claimed + 1] = {row[1], row[2], deliveries}
    end
  end
  for _, entry in ipairs(reply[3] or {}) do
    lost[#lost + 1] = entry
    event('lost_payload', '', '', stream, consumer, '0', '', '', entry)
  end
  if cursor == '0-0' or #claimed >= want then break end
end
count_events()
return {cursor, claimed, lost}
