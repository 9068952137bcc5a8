#!lua flags=no-writes
-- Dead letters, or what is in the trash, by id. KEYS: stream. ARGV: prefix, longest value, ids
-- Returns per id what `shown` says, or false if it is gone.

local found = {}
for at = 3, #ARGV do
  local row = redis.call('XRANGE', KEYS[1], ARGV[at], ARGV[at])[1]
  found[#found + 1] = row and shown(row) or false
end
return found
