#!lua flags=no-writes
-- What the bus remembers of a message, in every mailbox that it was put into. ARGV: prefix, id
-- Returns {now, {per mailbox: stream, entry, when delivered by a gateway or '', 'when how' it was settled or '',
--   1 if it stands in the mailbox, its ttl, who holds it or ''}}

local GROUP = 'inbox'
local flat = redis.pcall('HGETALL', PREFIX .. ':dedupe:' .. ARGV[2])
local said = {}
for i = 1, flat.err and 0 or #flat, 2 do said[flat[i]] = flat[i + 1] end

local head = PREFIX .. ':messages:'
local answers = {}
for stream, entry in pairs(said) do
  if string.sub(stream, 1, #head) == head then
    local rows = redis.pcall('XRANGE', stream, entry, entry)
    local row = not rows.err and rows[1]
    local pending = row and redis.pcall('XPENDING', stream, GROUP, entry, entry, 1) or {}
    local ttl = ''
    for i = 1, row and #row[2] or 0, 2 do
      if row[2][i] == 'ttl' then ttl = row[2][i + 1] end
    end
    answers[#answers + 1] = {stream, entry, said['delivered:' .. stream] or '', said['settled:' .. stream] or '',
      row and 1 or 0, ttl, not pending.err and pending[1] and pending[1][2] or ''}
  end
end
return {NOW, answers}
