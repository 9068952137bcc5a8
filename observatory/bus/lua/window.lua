#!lua flags=no-writes
-- A window of one stream, with who was given what of it. At any length of the stream it costs the same.
-- KEYS[1] stream. ARGV: prefix, longest value, first id, last id, count, 1 if upwards.
-- Returns {length, oldest id, newest id, groups, rows, 1 if there is more behind the last row}; a group is {name,
--   last delivered id}, a row what `shown` says and behind it {group's place, consumer, idle ms, deliveries} flat.

local stream, count, upwards = KEYS[1], tonumber(ARGV[5]), ARGV[6] == '1'
local READ = 32  -- entries that are looked at in one step, so that a few huge ones do not fill the engine's memory

local groups, holding = {}, {}
local infos = redis.pcall('XINFO', 'GROUPS', stream)
for place, flat in ipairs(infos.err and {} or infos) do
  local info = map_of(flat)
  groups[place] = {info['name'], info['last-delivered-id']}
  if info['pending'] > 0 then holding[#holding + 1] = place end
end

local function holds(id)
  local found = {}
  for _, place in ipairs(holding) do
    local row = redis.call('XPENDING', stream, groups[place][1], id, id, 1)[1]
    if row then
      for _, value in ipairs({place, row[2], row[3], row[4]}) do found[#found + 1] = value end
    end
  end
  return found
end

local first, last = ARGV[3], ARGV[4]
local function read()
  if upwards then return redis.call('XRANGE', stream, first, last, 'COUNT', READ) end
  return redis.call('XREVRANGE', stream, last, first, 'COUNT', READ)
end

local function id_of(rows)
  return rows[1] and rows[1][1] or ''
end

local rows, more, bytes = {}, 0, 0
repeat
  local page = read()
  for _, row in ipairs(page) do
    if #rows == count or bytes > MOST_BYTES then
      more = 1
      break
    end
    local one = shown(row)
    one[5] = holds(one[1])
    rows[#rows + 1] = one
    bytes = bytes + math.min(one[2], LONGEST * #one[4])
    if upwards then first = '(' .. one[1] else last = '(' .. one[1] end
  end
until more == 1 or #page < READ

local oldest = id_of(redis.call('XRANGE', stream, '-', '+', 'COUNT', 1))
local newest = id_of(redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1))
return {redis.call('XLEN', stream), oldest, newest, groups, rows, more}
