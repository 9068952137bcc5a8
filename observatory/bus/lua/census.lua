#!lua flags=no-writes
-- A page of a stream, without payloads: which task each entry is, and where it stands for one group.
-- KEYS: stream. ARGV: prefix, group (empty: none), entry to go on behind (empty: from the start), most entries
-- Returns {{entry, mark, id, or all its fields where only the tolerant reader can tell} …}.
--   mark: 'pending', 'cancelled' (somebody did, and `take` has not dropped it yet) or empty

local NO_ID = {[''] = true, ['null'] = true, ['undefined'] = true, ['None'] = true}  -- as in wire.py
local BYTES = 2000000  -- a page ends behind so many bytes, however few its entries are
local STEP = 25
local stream, group, from, most = KEYS[1], ARGV[2], ARGV[3] == '' and '-' or '(' .. ARGV[3], tonumber(ARGV[4])

local entries, bytes = {}, 0
repeat
  local rows = redis.call('XRANGE', stream, from, '+', 'COUNT', STEP)
  for _, row in ipairs(rows) do
    entries[#entries + 1] = row
    for _, value in ipairs(row[2]) do bytes = bytes + #value end
    from = '(' .. row[1]
  end
until #rows < STEP or #entries >= most or bytes > BYTES
if #entries == 0 then return {} end

local pending = {}
if group ~= '' then
  local rows = redis.pcall('XPENDING', stream, group, entries[1][1], entries[#entries][1], 100000)
  for _, row in ipairs(rows.err and {} or rows) do pending[row[1]] = true end
end

local function get(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
end

local page = {}
for i, row in ipairs(entries) do
  local entry, fields = row[1], row[2]
  local id = get(fields, 'id')
  local mark = pending[entry] and 'pending' or ''
  if id and group ~= '' then
    local record = redis.pcall('HMGET', PREFIX .. ':task:' .. id, 'state', 'entry')
    if record[1] == 'cancelled' and record[2] == entry then mark = 'cancelled' end
    if redis.call('SISMEMBER', PREFIX .. ':tasks:cancelled', stream .. ' ' .. entry) == 1 then mark = 'cancelled' end
  end
  -- The order in which `encode` in wire.py writes them.
  local plain = fields[1] == 'id' and fields[3] == 'type' and #id <= 512 and not NO_ID[id]
  page[i] = {entry, mark, plain and id or fields}
end
return page
