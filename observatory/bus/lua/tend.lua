#!lua flags=allow-oom
-- Look after mailboxes: make their groups, renew what this reader holds, find what nobody works on.
-- KEYS: mailboxes. ARGV: prefix, consumer, lease ms, 1 to remove consumers that are long gone,
--   then per mailbox: cursor of the search, most messages to find; then per held message: its mailbox, entry, deliveries
-- Returns {now, {per mailbox: problem, 1 if its group was made, cursor, {{entry, fields, deliveries} …}, payloads lost},
--   {1 per held message that is still ours, else 0}}

local GROUP = 'inbox'
local GONE_MS = 3600000  -- a reader asks once a second, so this silence is death
local consumer, lease = ARGV[2], ARGV[3]

local function pending(stream, entry)
  local rows = redis.pcall('XPENDING', stream, GROUP, entry, entry, 1)
  return not rows.err and rows[1] or nil
end

local held, renewed = {}, {}
for at = 5 + 2 * #KEYS, #ARGV, 3 do
  local stream, entry = ARGV[at], ARGV[at + 1]
  local row = pending(stream, entry)
  local ours = row and row[2] == consumer and row[4] == tonumber(ARGV[at + 2])
  if ours then
    redis.call('XCLAIM', stream, GROUP, consumer, 0, entry, 'JUSTID')
    held[stream .. ' ' .. entry] = true
  end
  renewed[#renewed + 1] = ours and 1 or 0
end

local function bury_consumers(stream)
  for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, GROUP)) do
    local name, waiting, idle = row[2], row[4], row[6]
    if name ~= consumer and waiting == 0 and idle > GONE_MS then
      redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, name)
    end
  end
end

local function look_after(stream, cursor, room)
  local made = redis.pcall('XGROUP', 'CREATE', stream, GROUP, '0', 'MKSTREAM')
  if made.err and string.sub(made.err, 1, 9) ~= 'BUSYGROUP' then return {made.err, 0, cursor, {}, 0} end
  if ARGV[4] == '1' then bury_consumers(stream) end

  local found, lost = {}, 0
  local function keep(rows)
    for _, row in ipairs(rows) do
      if row and row[2] then
        local entry = row[1]
        found[#found + 1] = {entry, row[2], pending(stream, entry)[4]}
      end
    end
  end
  local function lose(entry)
    redis.call('XACK', stream, GROUP, entry)
    lost = lost + 1
    event('lost_payload', '', '', stream, consumer, '0', '', '', entry)
  end

  -- Ours by the engine's books, and not in our hands: the reply that brought them was lost.
  for _, row in ipairs(redis.call('XPENDING', stream, GROUP, '-', '+', 10000, consumer)) do
    if #found < room and not held[stream .. ' ' .. row[1]] then
      local rows = redis.call('XCLAIM', stream, GROUP, consumer, 0, row[1])
      keep(rows)
      if not (rows[1] and rows[1][2]) then lose(row[1]) end
    end
  end
  if #found < room then
    local reply = redis.call('XAUTOCLAIM', stream, GROUP, consumer, lease, cursor, 'COUNT', room - #found)
    cursor = reply[1]
    keep(reply[2])
    for _, entry in ipairs(reply[3] or {}) do lose(entry) end
  end
  return {'', made.err and 0 or 1, cursor, found, lost}
end

local answers = {}
for i, stream in ipairs(KEYS) do
  answers[i] = look_after(stream, ARGV[3 + 2 * i], tonumber(ARGV[4 + 2 * i]))
end
count_events()
return {NOW, answers, renewed}
