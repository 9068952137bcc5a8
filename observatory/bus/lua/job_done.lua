#!lua flags=no-writes
-- What became of the items of a job in this partition. ARGV: prefix, job. Returns {item, outcome, entry} …

local flat = redis.call('HGETALL', PREFIX .. ':job:' .. ARGV[2] .. ':done')
local found = {}
for i = 1, #flat, 2 do
  if string.sub(flat[i], 1, 1) == '=' then
    local answer = cmsgpack.unpack(flat[i + 1])
    found[#found + 1] = {string.sub(flat[i], 2), answer[1], answer[2]}
  end
end
return found
