#!lua flags=allow-oom
-- Take over what dead or silent consumers hold in one lane.
-- KEYS: lane. ARGV: prefix, group, consumer, min idle ms, cursor, count, most deliveries
-- Returns {next cursor, {{entry, fields, deliveries} …}, {id of a lost payload …}}.

local stream = KEYS[1]
local group, consumer, limit = ARGV[2], ARGV[3], tonumber(ARGV[7])
local reply = redis.pcall('XAUTOCLAIM', stream, group, consumer, ARGV[4], ARGV[5], 'COUNT', ARGV[6])
if reply.err then
  -- No group or a foreign key in the lane's place: there is nothing to take over, and `take` reports why.
  return {'0-0', {}, {}}
end
local claimed = {}
for _, row in ipairs(reply[2]) do
  if row and row[2] then
    local entry, fields = row[1], row[2]
    local deliveries = held(stream, group, consumer, entry, entry)[entry]
    if deliveries > limit then
      bury(stream, entry, fields, get(fields, 'id') or 'x-' .. stream .. '-' .. entry, get(fields, 'type') or '', consumer,
        get(fields, 'attempt') or '1', 'poison', 'delivered ' .. deliveries .. ' times and never settled', '')
      drop(stream, entry)
    else
      claimed[#claimed + 1] = {entry, fields, deliveries}
    end
  end
end
local lost = reply[3] or {}
for _, entry in ipairs(lost) do
  event('lost_payload', '', '', stream, consumer, '0', '', '', entry)
end
take_off(group)
count_events()
return {reply[1], claimed, lost}
