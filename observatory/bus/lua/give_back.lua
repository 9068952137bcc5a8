#!lua flags=allow-oom
-- Give work back at once: what was delivered and not begun, or begun and broken off, goes to the tail of its lane,
-- where a waiting worker gets it now and not when a lease is over. Its age and its attempt stay what they were.
-- ARGV: prefix, group, consumer, then per delivery: stream, entry, deliveries, id, type, attempt
-- Returns how many were given back.

local group, consumer = ARGV[2], ARGV[3]
local ours = held_of_all(group, consumer, 4, 6)
local given = 0
for at = 4, #ARGV, 6 do
  local stream, entry, id, type, attempt = ARGV[at], ARGV[at + 1], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  local row = ours[stream][entry] == tonumber(ARGV[at + 2]) and redis.call('XRANGE', stream, entry, entry)[1]
  if row then
    local fields = row[2]
    if not get(fields, 'arrived') then put(fields, 'arrived', text(id_ms(entry))) end
    if get(fields, 'id') ~= id then put(fields, 'id', id) end
    local sid = add(stream, fields)
    appear(stream)
    if recall(id, 'entry')[1] ~= entry then observe(id, type, stream, attempt) end
    remember(id, RECORD_TTL, 'state', 'queued', 'lane', stream, 'entry', sid, 'attempt', attempt, 'owner', '', 'type', type)
    event('given_back', id, type, stream, consumer, attempt, '', '', '')
    drop(stream, entry)
    given = given + 1
  end
end
take_off(group)
ring()
count_events()
return given
