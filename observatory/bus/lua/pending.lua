#!lua flags=no-writes
-- A piece of what was given and not acknowledged, merged over streams and groups in the order of (entry id, place of
-- the stream, group). At any number of pending entries it costs the same.
-- KEYS: streams, sorted. ARGV: prefix, longest value (0: read no entries), count, 1 if upwards, group or '', consumer or
--   '', then the cursor: entry id or '' for the end, place of its stream, its group, 1 if a row that stands just there
--   belongs to the piece;
--   then a digit for each stream, 0 if it is only counted.
-- Returns {total, rows, 1 if there is more}; a row is {place of the stream, group, id, consumer, idle ms, deliveries,
--   what `shown` says of its entry or false}.

local count, upwards = tonumber(ARGV[3]), ARGV[4] == '1'
local group_name, consumer = ARGV[5], ARGV[6]
local start, start_place, start_group, inclusive = ARGV[7], tonumber(ARGV[8]), ARGV[9], ARGV[10] == '1'

-- Every list of pending entries that is meant, with how many it holds and between which times.
local lists, total, lowest, highest = {}, 0, math.huge, 0
local function add_list(place, stream, group)
  local summary = redis.call('XPENDING', stream, group)
  local held = consumer == '' and summary[1] or 0
  if consumer ~= '' then
    for _, row in ipairs(summary[4] or {}) do
      if row[1] == consumer then held = tonumber(row[2]) end
    end
  end
  if held == 0 then return end
  total = total + held
  lowest, highest = math.min(lowest, id_ms(summary[2])), math.max(highest, id_ms(summary[3]))
  if string.sub(ARGV[11], place, place) == '0' then return end
  lists[#lists + 1] = {place = place, stream = stream, group = group}
end

for place, stream in ipairs(KEYS) do
  local infos = redis.pcall('XINFO', 'GROUPS', stream)
  for _, flat in ipairs(infos.err and {} or infos) do
    local info = map_of(flat)
    local meant = group_name == '' or group_name == info['name']
    if meant and info['pending'] > 0 then add_list(place, stream, info['name']) end
  end
end
if #lists == 0 then return {total, {}, 0} end

-- One row of each list can stand at the cursor's own id, on its other side; and one more tells that there is more.
local WANTED = count + 1 + #lists
local ENOUGH = 4 * WANTED

-- Read a stretch of all lists. Returns how many rows there are, and whether a list was cut off.
local function gather(from, to)
  local found, cut = 0, false
  for _, one in ipairs(lists) do
    if consumer == '' then
      one.rows = redis.call('XPENDING', one.stream, one.group, from, to, ENOUGH)
    else
      one.rows = redis.call('XPENDING', one.stream, one.group, from, to, ENOUGH, consumer)
    end
    found = found + #one.rows
    cut = cut or #one.rows == ENOUGH
    if found > ENOUGH and not upwards then return found, true end
  end
  return found, cut or found > ENOUGH
end

-- How many milliseconds hold what is wanted, if all are as dense as the whole.
local function guess()
  return math.ceil((highest - lowest + 1) * 1.5 * WANTED / total)
end

local function read_upwards()
  local from = start == '' and '-' or start
  local bottom = start == '' and lowest or math.max(lowest, id_ms(start))
  local width = guess()
  while true do
    -- What a list is cut off by lies behind more rows than are wanted.
    local found = gather(from, text(math.min(bottom + width, highest)))
    if found >= WANTED or bottom + width >= highest then return end
    width = width * 4
  end
end

-- Inside one millisecond that holds too many: find the sequence number from which on there are enough.
local function read_within(ms, to)
  local low, high = 0, 1
  local function from(seq) return gather(text(ms) .. '-' .. text(seq), to) end
  while high < 2 ^ 53 do
    local _, cut = from(high)
    if not cut then break end
    low, high = high, high * 2
  end
  while true do
    local middle = math.floor((low + high) / 2)
    local found, cut = from(middle)
    if (found >= WANTED and not cut) or high - low <= 1 then return end
    if cut then low = middle else high = middle end
  end
end

-- XPENDING lists only upwards. To go down, a stretch that ends at the cursor is widened or narrowed until it holds what
-- is wanted and not much more.
local function read_downwards()
  local to = start == '' and '+' or start
  local top = start == '' and highest or math.min(highest, id_ms(start))
  local from = math.max(lowest, top - guess())
  local wide, narrow
  while true do
    local found, cut = gather(text(from) .. '-0', to)
    if cut then
      wide = from
      if wide >= top or narrow == wide + 1 then return read_within(wide, to) end
      from = narrow and math.floor((wide + narrow) / 2) or top - math.floor((top - wide) / 4)
    elseif found >= WANTED or from <= lowest then
      return
    else
      narrow = from
      if wide and narrow == wide + 1 then return read_within(wide, to) end
      from = wide and math.floor((wide + narrow) / 2) or math.max(lowest, top - (top - narrow + 1) * 4)
    end
  end
end

-- Whether a row stands behind the cursor, in the direction of reading; of two lists, which one comes first.
local function behind(id, place, group)
  if id ~= start then return true end
  if place ~= start_place then return (place > start_place) == upwards end
  if group ~= start_group then return (group > start_group) == upwards end
  return inclusive
end

local function before(a, b)
  local x, y = a.rows[a.at][1], b.rows[b.at][1]
  if x ~= y then return earlier(x, y) == upwards end
  if a.place ~= b.place then return (a.place < b.place) == upwards end
  return (a.group < b.group) == upwards
end

local step = upwards and 1 or -1
if upwards then read_upwards() else read_downwards() end
for _, one in ipairs(lists) do
  one.at = upwards and 1 or #one.rows
  local row = one.rows[one.at]
  if row and not behind(row[1], one.place, one.group) then one.at = one.at + step end
end

local found, more, bytes = {}, 0, 0
while true do
  local best
  for _, one in ipairs(lists) do
    if one.rows[one.at] and (not best or before(one, best)) then best = one end
  end
  if not best then break end
  if #found == count or bytes > MOST_BYTES then
    more = 1
    break
  end
  local row = best.rows[best.at]
  best.at = best.at + step
  local entry = LONGEST > 0 and redis.call('XRANGE', best.stream, row[1], row[1])[1]
  if entry then
    entry = shown(entry)
    bytes = bytes + math.min(entry[2], LONGEST * #entry[4])
  end
  found[#found + 1] = {best.place, best.group, row[1], row[2], row[3], row[4], entry or false}
end
return {total, found, more}
