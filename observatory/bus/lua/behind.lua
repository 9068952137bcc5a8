#!lua flags=no-writes
-- How many entries stand behind a position, at most 100,000. KEYS: stream. ARGV: prefix, position

local MOST, STEP = 100000, 1000
local from, found = '(' .. ARGV[2], 0
repeat
  local rows = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', STEP)
  found = found + #rows
  if rows[1] then from = '(' .. rows[#rows][1] end
until #rows < STEP or found >= MOST
return found
