#!lua flags=no-writes
-- Search a stretch of one stream for a text. KEYS[1] stream. ARGV: prefix, text, first id, last id, entries to look at,
--   1 if upwards.
-- Returns {rows in which a value holds the text, last id that was looked at or '', entries looked at}.

local stream, wanted, upwards = KEYS[1], ARGV[2], ARGV[6] == '1'
local rows
if upwards then
  rows = redis.call('XRANGE', stream, ARGV[3], ARGV[4], 'COUNT', ARGV[5])
else
  rows = redis.call('XREVRANGE', stream, ARGV[4], ARGV[3], 'COUNT', ARGV[5])
end
local found = {}
for _, row in ipairs(rows) do
  for i = 2, #row[2], 2 do
    if string.find(row[2][i], wanted, 1, true) then
      found[#found + 1] = row
      break
    end
  end
end
return {found, #rows > 0 and rows[#rows][1] or '', #rows}
