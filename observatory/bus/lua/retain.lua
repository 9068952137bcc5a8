#!lua flags=allow-oom
-- Keep the event log and the dead letters within their bounds: the oldest goes first, some at a time, and nothing that
-- a group has not settled. What the bus says in its own hash counts before the defaults.
-- ARGV: prefix, then the defaults: bytes of the log, bytes of the dead letters, days of the dead letters; 0: no bound
-- Returns {entries of the log, dead letters} that went.

local ENTRIES = 20000  -- entries of the log that a call lets go of at most
local LETTERS = 100
local DAYS = 15
local said = redis.pcall('HMGET', PREFIX .. ':retention', 'events_bytes', 'dead_bytes', 'dead_days')
local function bound(place)
  return tonumber(not said.err and said[place] or ARGV[place + 1]) or tonumber(ARGV[place + 1])
end

-- An estimate; 0 where there is nothing, or where the user may not ask.
local function bytes_of(key)
  local size = redis.pcall('MEMORY', 'USAGE', key)
  return type(size) == 'number' and size or 0
end

-- The lowest entry that some group of a stream still needs; nil if it has no groups, or is no stream.
local function mark_of(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return nil end
  local mark
  for _, flat in ipairs(groups) do
    local info = {}
    for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
    local lowest = redis.call('XPENDING', stream, info['name'])[2] or info['last-delivered-id']
    if not mark or earlier(lowest, mark) then mark = lowest end
  end
  return mark
end

-- Shorten the log by its oldest days, until `over` bytes are gone or there was enough to do.
local function shorten_log()
  local days, total, gone = {}, 0, 0
  for back = DAYS, 0, -1 do
    local stream = PREFIX .. ':events:' .. day_of(NOW - back * 86400000)
    local size = bytes_of(stream)
    if size > 0 then days[#days + 1] = {stream, size} end
    total = total + size
  end
  local over = bound(1) > 0 and total - bound(1) or 0
  for _, day in ipairs(days) do
    if over <= 0 or gone >= ENTRIES then break end
    local stream, size = day[1], day[2]
    local length = redis.pcall('XLEN', stream)
    local mark = mark_of(stream)
    if type(length) == 'number' and mark then
      gone = gone + redis.call('XTRIM', stream, 'MINID', '~', mark, 'LIMIT', ENTRIES)
    elseif type(length) == 'number' then
      local kept = math.max(math.ceil(length * (1 - over / size)), 0)
      gone = gone + redis.call('XTRIM', stream, 'MAXLEN', '~', kept, 'LIMIT', ENTRIES)
    end
    over = over - size
  end
  return gone
end

local function drop_letters()
  local stream, gone = PREFIX .. ':tasks:dlq', 0
  local many = bound(2) > 0 and bytes_of(stream) > bound(2)
  local oldest = bound(3) > 0 and NOW - bound(3) * 86400000 or 0
  local first = redis.pcall('XRANGE', stream, '-', '+', 'COUNT', 1)
  if first.err or not first[1] or not (many or id_ms(first[1][1]) < oldest) then return 0 end
  local mark = mark_of(stream)
  for _ = 1, LETTERS do
    local row = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    if not row or not (many or id_ms(row[1]) < oldest) or (mark and not earlier(row[1], mark)) then break end
    redis.call('XDEL', stream, row[1])
    event('dropped', get(row[2], 'id') or '', get(row[2], 'type') or '', stream, '', '0', '', '', row[1])
    gone = gone + 1
    many = many and bytes_of(stream) > bound(2)
  end
  return gone
end

local entries, letters = shorten_log(), drop_letters()
count_events()
return {entries, letters}
