#!lua flags=allow-oom
-- Read mailboxes without waiting, for who reads very many of them or comes only now and then.
-- KEYS: mailboxes. ARGV: prefix, consumer, lease ms (what another reader has been silent about for so long is read as
--   well; 0 for nothing but what is new), then per mailbox the most messages to read
-- Returns {now, {per mailbox: problem, {{entry, fields, deliveries} …}}}

local GROUP = 'inbox'
local PAGES = 20  -- one XAUTOCLAIM looks at ten entries for each that it may claim
local consumer, lease = ARGV[2], tonumber(ARGV[3])

local function note(stream, fields)
  local record = PREFIX .. ':dedupe:' .. (get(fields, 'id') or '')
  if redis.call('EXISTS', record) == 1 then redis.pcall('HSETNX', record, 'delivered:' .. stream, NOW_TEXT) end
end

local function new(stream, room)
  local reply = redis.pcall('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', room, 'STREAMS', stream, '>')
  if reply and reply.err and string.find(reply.err, 'NOGROUP', 1, true) then
    local made = redis.pcall('XGROUP', 'CREATE', stream, GROUP, '0', 'MKSTREAM')
    if made.err then return made end
    reply = redis.pcall('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', room, 'STREAMS', stream, '>')
  end
  return reply and (reply.err and reply or reply[1][2]) or {}
end

local function abandoned(stream, room)
  local found, cursor = {}, '0-0'
  for _ = 1, PAGES do
    local reply = redis.pcall('XAUTOCLAIM', stream, GROUP, consumer, lease, cursor, 'COUNT', room - #found)
    if reply.err then return found end
    for _, row in ipairs(reply[2]) do
      if row and row[2] then found[#found + 1] = row end
    end
    for _, entry in ipairs(reply[3] or {}) do
      redis.call('XACK', stream, GROUP, entry)
      event('lost_payload', '', '', stream, consumer, '0', '', '', entry)
    end
    cursor = reply[1]
    if cursor == '0-0' or #found >= room then return found end
  end
  return found
end

local function fetch(stream, room)
  local found = {}
  if lease > 0 then
    for _, row in ipairs(abandoned(stream, room)) do
      local pending = redis.call('XPENDING', stream, GROUP, row[1], row[1], 1)[1]
      found[#found + 1] = {row[1], row[2], pending and pending[4] or 1}
      note(stream, row[2])
    end
  end
  if #found < room then
    local rows = new(stream, room - #found)
    if rows.err then return {rows.err, found} end
    for _, row in ipairs(rows) do
      found[#found + 1] = {row[1], row[2], 1}
      note(stream, row[2])
    end
  end
  return {'', found}
end

local answers = {}
for i, stream in ipairs(KEYS) do answers[i] = fetch(stream, tonumber(ARGV[3 + i])) end
count_events()
return {NOW, answers}
