#!lua flags=allow-oom
-- Read broadcasts behind a cursor, and say whether some that stood there are gone.
-- ARGV: prefix, reader, cursor ('' for the stored one), where to begin where none is stored ('' for now), count
-- Returns {cursor, 1 if there is a gap, first entry now or '', {{entry, fields} …}, newest id}. Behind a gap reading
--   goes on with the first entry there is, else with the first behind the cursor.

local ZERO = '0-0'
local stream, cursors = PREFIX .. ':events:global', PREFIX .. ':cursors'

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)%-?(%d*)$')
  return tonumber(ms) or 0, tonumber(seq) or 0
end

local function is_before(a, b)
  local a_ms, a_seq = parts(a)
  local b_ms, b_seq = parts(b)
  return a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq)
end

local info = {}
if redis.call('EXISTS', stream) == 1 then
  local flat = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
end
local newest = info['last-generated-id'] or ZERO
local first = info['first-entry'] and info['first-entry'][1] or ''

local cursor = ARGV[3] ~= '' and ARGV[3] or redis.call('HGET', cursors, ARGV[2])
-- What is no id cannot be a place to go on from; somebody wrote over it.
local begins = not cursor or not string.match(cursor, '^%d+%-?%d*$')
if begins then
  cursor = ARGV[4] ~= '' and ARGV[4] or newest
  redis.call('HSET', cursors, ARGV[2], cursor)
end

-- Where the reader's last entry still stands, all behind it does. A reader that has read none misses something only
-- if something was removed. Ids that end before the cursor: the stream was made anew.
local removed = (info['entries-added'] or 0) > (info['length'] or 0)
local gap = false
if is_before(newest, cursor) then
  gap = info['length'] ~= nil and not begins
elseif not is_before(ZERO, cursor) then
  gap = removed and not begins
else
  gap = first ~= '' and is_before(cursor, first) and (removed or not begins)
end

local rows = redis.call('XRANGE', stream, gap and '-' or '(' .. cursor, '+', 'COUNT', ARGV[5])
return {cursor, gap and 1 or 0, first, rows, newest}
