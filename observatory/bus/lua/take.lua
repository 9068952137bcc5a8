#!lua flags=allow-oom
-- Take up to `want` entries in strict priority: all of one lane before any of the next.
-- KEYS: lanes, most urgent first. ARGV: prefix, group, consumer, want
-- Returns {entries, ms until the next delayed task is due or -1, groups that had to be made again, broken lanes}.
-- An entry is {lane index, id, fields, started}; started is 0 where only the tolerant reader can tell what it is.

local group, consumer, want = ARGV[2], ARGV[3], tonumber(ARGV[4])
local taken, remade, broken = {}, {}, {}

promote(100)

local function read(stream, n)
  local reply = redis.pcall('XREADGROUP', 'GROUP', group, consumer, 'COUNT', n, 'STREAMS', stream, '>')
  if type(reply) == 'table' and reply.err then
    if not string.find(reply.err, 'NOGROUP', 1, true) then return nil, reply.err end
    -- From the very beginning, never `$`: what arrived before the group was made is work too.
    local made = redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
    if type(made) == 'table' and made.err then return nil, made.err end
    remade[#remade + 1] = stream
    local queue = string.match(string.sub(stream, #PREFIX + 8), '^([^:]+):[^:]+$')
    if queue then redis.call('SADD', PREFIX .. ':tasks:queues', queue) end
    reply = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', n, 'STREAMS', stream, '>')
  end
  return reply and reply[1] and reply[1][2] or {}, nil
end

for index, stream in ipairs(KEYS) do
  while want > 0 do
    local entries, problem = read(stream, want)
    if problem then
      broken[#broken + 1] = {stream, problem}
      break
    end
    for _, row in ipairs(entries) do
      local entry, fields = row[1], row[2]
      local kept, started = true, 0
      -- The canonical order of fields, as `encode` in wire.py writes it.
      if fields[1] == 'id' and fields[3] == 'type' and fields[17] == 'ttl' and fields[19] == 'attempt' then
        local id, ttl = fields[2], tonumber(fields[18])
        if id ~= '' and #id <= 512 and ttl and ttl > 0 then
          local arrived = fields[#fields - 1] == 'arrived' and tonumber(fields[#fields]) or id_ms(entry)
          kept = start(stream, consumer, entry, 1, id, fields[4], fields[20], arrived, ttl * 1000)
          started = 1
        end
      end
      if kept then
        taken[#taken + 1] = {index - 1, entry, fields, started}
        want = want - 1
      end
    end
    if #entries == 0 then break end
  end
end
take_off(group)
count_events()
return {taken, next_due(), remade, broken}
