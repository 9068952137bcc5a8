#!lua flags=no-writes
-- What became of tasks. ARGV: prefix, then task ids. Returns the state of each, or an empty text.

local found = {}
for at = 2, #ARGV do
  local said = redis.pcall('HGET', PREFIX .. ':task:' .. ARGV[at], 'state')
  found[#found + 1] = type(said) == 'string' and said or ''
end
return found
