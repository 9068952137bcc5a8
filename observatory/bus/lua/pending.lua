#!lua flags=no-writes
-- A piece of what was given and not acknowledged, merged over streams and groups in the order of (entry id, place of
-- the stream, group). At any number of pending entries it costs the same.
-- KEYS: streams, sorted. ARGV: prefix, longest value, count, 1 if upwards, group or '', consumer or '', then the cursor:
--   entry id or '' for the end, place of its stream, its group, 1 if a row that stands just there belongs to the piece.
-- Returns {total, rows, 1 if there is more}; a row is {place of the stream, group, id, consumer, idle ms, deliveries,
--   what `shown` says of its entry or false}.

local count, upwards = tonumber(ARGV[3]), ARGV[4] == '1'
local group_name, consumer = ARGV[5], ARGV[6]
local start, start_place, start_group, inclusive = ARGV[7], tonumber(ARGV[8]), ARGV[9], ARGV[10] == '1'
local wanted = count + 1  -- one row of each list can stand at the cursor's own id, on its other side
local ENOUGH = 4 * wanted

local function list(stream, group, from, to, most)
  if consumer ~= '' then return redis.call('XPENDING', stream, group, from, to, most, consumer) end
  return redis.call('XPENDING', stream, group, from, to, most)
end

local function turned(rows)
  local tail = {}
  for i = #rows, math.max(#rows - wanted + 1, 1), -1 do tail[#tail + 1] = rows[i] end
  return tail
end

-- Inside one millisecond that holds too many: find the sequence number from which on there are enough.
local function within(stream, group, ms, to)
  local low, high = 0, 1
  local function from(seq) return list(stream, group, text(ms) .. '-' .. text(seq), to, ENOUGH) end
  while high < 2 ^ 53 and #from(high) == ENOUGH do low, high = high, high * 2 end
  while true do
    local middle = math.floor((low + high) / 2)
    local rows = from(middle)
    if (#rows < ENOUGH and #rows >= wanted) or high - low <= 1 then return turned(rows) end
    if #rows == ENOUGH then low = middle else high = middle end
  end
end

-- XPENDING lists only upwards. To go down, a window that ends at `to` is widened or narrowed until it holds what is
-- wanted and not much more; how wide to begin is told by how dense the whole list is.
local function downwards(stream, group, summary, to)
  local lowest, highest = id_ms(summary[2]), id_ms(summary[3])
  if to == '' or earlier(summary[3], to) then to = summary[3] end
  highest = id_ms(to)
  if highest < lowest then return {} end
  local from = math.max(lowest, highest - math.ceil((id_ms(summary[3]) - lowest + 1) * 2 * wanted / summary[1]))
  local wide, narrow
  while true do
    local rows = list(stream, group, text(from) .. '-0', to, ENOUGH)
    if #rows == ENOUGH then
      wide = from
      if wide == highest or narrow == wide + 1 then return within(stream, group, wide, to) end
      from = narrow and math.floor((wide + narrow) / 2) or highest - math.floor((highest - wide) / 4)
    elseif #rows >= wanted or from <= lowest then
      return turned(rows)
    else
      narrow = from
      if wide and narrow == wide + 1 then return within(stream, group, wide, to) end
      from = wide and math.floor((wide + narrow) / 2) or math.max(lowest, highest - (highest - narrow + 1) * 4)
    end
  end
end

local function counted(summary)
  if consumer == '' then return summary[1] end
  for _, row in ipairs(summary[4] or {}) do
    if row[1] == consumer then return tonumber(row[2]) end
  end
  return 0
end

-- Whether a row stands behind the cursor, in the direction of reading; of several lists, which one comes first.
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

local total, lists = 0, {}
local function read(place, stream, group)
  local summary = redis.call('XPENDING', stream, group)
  local held = counted(summary)
  if held == 0 then return end
  total = total + held
  local rows
  if upwards then
    rows = list(stream, group, start == '' and '-' or start, '+', wanted)
  else
    rows = downwards(stream, group, summary, start)
  end
  local at = (rows[1] and not behind(rows[1][1], place, group)) and 2 or 1
  if rows[at] then lists[#lists + 1] = {place = place, group = group, rows = rows, at = at} end
end

for place, stream in ipairs(KEYS) do
  local infos = redis.pcall('XINFO', 'GROUPS', stream)
  for _, flat in ipairs(infos.err and {} or infos) do
    local info = map_of(flat)
    local meant = group_name == '' or group_name == info['name']
    if meant and info['pending'] > 0 then read(place, stream, info['name']) end
  end
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
  best.at = best.at + 1
  local entry = redis.call('XRANGE', KEYS[best.place], row[1], row[1])[1]
  if entry then
    entry = shown(entry)
    bytes = bytes + math.min(entry[2], LONGEST * #entry[4])
  end
  found[#found + 1] = {best.place, best.group, row[1], row[2], row[3], row[4], entry or false}
end
return {total, found, more}
