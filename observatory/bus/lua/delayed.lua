#!lua flags=no-writes
-- A piece of what waits for its time, in the order of (due, member). At any number of them it costs the same.
-- ARGV: prefix, longest value, due ms and member of the cursor ('' and '' for the end), 1 if a row that stands just
--   there belongs to the piece, count, 1 if upwards.
-- Returns {total, rows, 1 if there is more}; a row is {member, due ms, id, type, stream, attempt, what `shown` says}.

local key = PREFIX .. ':tasks:delayed'
local due, member, inclusive = tonumber(ARGV[3]), ARGV[4], ARGV[5] == '1'
local count, upwards = tonumber(ARGV[6]), ARGV[7] == '1'
local total = redis.call('ZCARD', key)

local function at(rank)
  local row = redis.call('ZRANGE', key, rank, rank, 'WITHSCORES')
  return row[1], tonumber(row[2])
end

-- How many stand in front of the cursor, and whether its own row is still there.
local function place()
  local low, high = 0, total
  while low < high do
    local middle = math.floor((low + high) / 2)
    local name, score = at(middle)
    if score < due or (score == due and name < member) then low = middle + 1 else high = middle end
  end
  local name, score = at(low)
  return low, score == due and name == member
end

local from, to = 0, total - 1
if due then
  local rank, there = place()
  if upwards then
    from = rank + ((there and not inclusive) and 1 or 0)
  else
    to = rank - ((there and inclusive) and 0 or 1)
  end
end
if upwards then to = math.min(to, from + count - 1) else from = math.max(from, to - count + 1) end

local rows = {}
local page = to >= from and redis.call('ZRANGE', key, from, to, 'WITHSCORES') or {}
for i = 1, #page, 2 do
  local packed = redis.call('HGET', key .. ':bodies', page[i])
  local readable, body = pcall(cmsgpack.unpack, packed or '')
  if not readable or type(body) ~= 'table' or type(body.fields) ~= 'table' then body = {fields = {}} end
  rows[#rows + 1] = {page[i], page[i + 1], text_of(body.id), text_of(body.type), text_of(body.stream),
    text_of(body.attempt), shown({page[i], body.fields})}
end
if not upwards then
  for i = 1, math.floor(#rows / 2) do rows[i], rows[#rows + 1 - i] = rows[#rows + 1 - i], rows[i] end
end
local more = to >= from and ((upwards and to < total - 1) or (not upwards and from > 0))
return {total, rows, more and 1 or 0}
