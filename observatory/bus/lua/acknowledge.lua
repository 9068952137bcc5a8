#!lua flags=allow-oom
-- Take messages off their mailboxes, or give them back. Fenced: what passed to another reader is left alone.
-- ARGV: prefix, consumer, then per message: stream, entry, deliveries, what, ttl ms, id, type, agent
--   what: acknowledge | expire | release (it was read, but not acknowledged) | unread (it was not even read)
--   An empty id: whoever asks did not keep the message, and id and type are read from its entry.
-- Returns per message 'done', 'gone' (the mailbox does not hold it any more), 'lost' (another reader holds it),
--   or 'kept' (it has not expired after all)

local GROUP = 'inbox'
local consumer = ARGV[2]

-- When an entry arrived, in ms.
local function born(entry)
  return tonumber(string.match(entry, '^(%d+)'))
end

local function apply(stream, entry, deliveries, what, ttl_ms, id, type, agent)
  local rows = redis.pcall('XPENDING', stream, GROUP, entry, entry, 1)
  local row = not rows.err and rows[1]
  if not row then return 'gone' end
  if row[2] ~= consumer or row[4] ~= deliveries then return 'lost' end
  if what == 'release' or what == 'unread' then
    -- As idle as can be, so that the next reader finds it at once.
    redis.call('XCLAIM', stream, GROUP, consumer, 0, entry, 'IDLE', 1000000000, 'RETRYCOUNT',
      what == 'unread' and deliveries - 1 or deliveries, 'JUSTID')
    return 'done'
  end
  local age = NOW - born(entry)
  if what == 'expire' and age <= ttl_ms then return 'kept' end
  if id == '' then
    local found = redis.call('XRANGE', stream, entry, entry)[1]
    id, type = found and get(found[2], 'id') or '', found and get(found[2], 'type') or ''
  end
  redis.call('XACK', stream, GROUP, entry)
  redis.call('XDEL', stream, entry)
  -- The record of a message that somebody sent by the bus client; a foreign one has none.
  local record = PREFIX .. ':dedupe:' .. id
  if redis.call('EXISTS', record) == 1 then
    redis.pcall('HSET', record, 'settled:' .. stream, NOW_TEXT .. (what == 'expire' and ' expired' or ' acknowledged'))
  end
  event(what == 'expire' and 'message_expired' or 'message_acknowledged', id, type, stream, agent, '0', '',
    text(math.max(age, 0)), '')
  return 'done'
end

local answers = {}
for at = 3, #ARGV, 8 do
  answers[#answers + 1] = apply(ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3], tonumber(ARGV[at + 4]),
    ARGV[at + 5], ARGV[at + 6], ARGV[at + 7])
end
count_events()
return answers
