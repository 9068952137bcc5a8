#!lua flags=no-writes
-- A page of what waits for its time, soonest first. ARGV: prefix, offset, limit
-- Returns per task {member, due ms, id, type, stream, attempt, fields}.

local rows = redis.call('ZRANGE', PREFIX .. ':tasks:delayed', ARGV[2], ARGV[2] + ARGV[3] - 1, 'WITHSCORES')
local page = {}
for i = 1, #rows, 2 do
  local packed = redis.call('HGET', PREFIX .. ':tasks:delayed:bodies', rows[i])
  if packed then
    local body = cmsgpack.unpack(packed)
    page[#page + 1] = {rows[i], rows[i + 1], body.id, body.type, body.stream, body.attempt, body.fields}
  end
end
return page
