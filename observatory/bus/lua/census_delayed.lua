#!lua flags=no-writes
-- A page of what waits for its time, without payloads; what waits the whole time is found at least once.
-- ARGV: prefix, cursor, how many to look at
-- Returns {next cursor, {{member, id, when it arrived or was made, as it stands there} …}}; what cannot be read has
-- no id.

local function get(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
end

local delayed = PREFIX .. ':tasks:delayed'
local reply = redis.call('ZSCAN', delayed, ARGV[2], 'COUNT', ARGV[3])
local page = {}
for i = 1, #reply[2], 2 do
  local member = reply[2][i]
  local packed = redis.call('HGET', delayed .. ':bodies', member)
  local readable, body = pcall(cmsgpack.unpack, packed or '')
  local id, since = '', ''
  if readable and type(body) == 'table' then
    id = type(body.id) == 'string' and body.id or ''
    local fields = type(body.fields) == 'table' and body.fields or {}
    since = get(fields, 'arrived') or get(fields, 'created_at') or ''
  end
  page[#page + 1] = {member, id, since}
end
return {reply[1], page}
