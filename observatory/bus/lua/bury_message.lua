#!lua flags=allow-oom
-- Move a message that cannot be delivered from its mailbox to the dead letters. Fenced: what passed to another reader
-- is left alone.
-- ARGV: prefix, consumer, stream, entry, deliveries, id, type, reason, why
-- Returns 'done', 'gone' (the mailbox does not hold it any more), 'lost' (another reader holds it), or 'broken'
--   (something else stands in the place of the dead letters)

local GROUP = 'inbox'
local consumer, stream, entry, deliveries = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

local held_now = redis.pcall('XPENDING', stream, GROUP, entry, entry, 1)
local row = not held_now.err and held_now[1]
local found = redis.pcall('XRANGE', stream, entry, entry)
if not row or found.err or not found[1] then return 'gone' end
if row[2] ~= consumer or row[4] ~= deliveries then return 'lost' end

local age = text(math.max(NOW - id_ms(entry), 0))
if not bury(stream, entry, found[1][2], ARGV[6], ARGV[7], consumer, ARGV[5], ARGV[8], ARGV[9], age) then
  return 'broken'
end
redis.call('XACK', stream, GROUP, entry)
redis.call('XDEL', stream, entry)
local record = PREFIX .. ':dedupe:' .. ARGV[6]
if redis.call('EXISTS', record) == 1 then
  redis.pcall('HSET', record, 'settled:' .. stream, NOW_TEXT .. ' ' .. ARGV[8])
end
count_events()
return 'done'
