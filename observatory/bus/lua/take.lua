#!lua flags=allow-oom
-- Take up to `want` entries in strict priority: all of one lane before any of the next.
-- KEYS: lanes, most urgent first. ARGV: prefix, group, consumer, want, then nothing, or per lane the longest wait in
--   ms after which its oldest entry goes before everything else (0: never)
-- Returns {entries, ms until the next delayed task is due or -1, lanes to keep away from: {lane, why} …,
--   lanes whose group had to be made}.
-- An entry is {lane index, id, fields, started}; started is 0 where only the tolerant reader can tell what it is.

local group, consumer, want = ARGV[2], ARGV[3], tonumber(ARGV[4])
local taken, remade, avoid = {}, {}, {}

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

-- What somebody paused: lanes, groups of lanes, and agents that are to be left in peace; see set_pauses.lua. An end time
-- that has come is forgotten by whoever sees it first.
local pausing = {}
local pauses = redis.call('HGETALL', PREFIX .. ':tasks:paused')
for i = 1, #pauses, 2 do
  local till = tonumber(pauses[i + 1])
  if till > 0 and till <= NOW then
    redis.call('HDEL', PREFIX .. ':tasks:paused', pauses[i])
    local whole = not string.find(pauses[i], '\31', 1, true)
    event('resumed', '', '', whole and pauses[i] or '', '', '0', '', '', 'its time was over')
  else
    pausing[pauses[i]] = true
  end
end
local rests = pausing['\31' .. string.match(consumer, '^[^@]*')]
local paused = {}
for _, stream in ipairs(KEYS) do paused[stream] = rests or pausing[stream] or pausing[stream .. '\31' .. group] end

local function keep(index, row)
  local entry, fields = row[1], row[2]
  local kept, started = true, 0
  local id, type, ttl, attempt, arrived, key = canonical(fields)
  if id then
    kept = start(KEYS[index], group, consumer, entry, 1, id, type, attempt, arrived or id_ms(entry), ttl * 1000, key)
    started = 1
  end
  if kept then
    taken[#taken + 1] = {index - 1, entry, fields, started}
    want = want - 1
  end
end

-- What was parked in a lane and whose turn has come goes before the rest of it. It comes as if for the first time:
-- nobody has run it under the deliveries before.
local function serve_turns(index)
  local stream = KEYS[index]
  local head = group .. '\31' .. stream .. '\31'
  local places = redis.call('ZRANGEBYLEX', TURNS, '[' .. head, '(' .. group .. '\31' .. stream .. '\32', 'LIMIT', 0, want)
  for _, place in ipairs(places) do
    local entry = string.sub(place, #head + 1)
    local key, id = order().unpark(place)
    local claimed = redis.pcall('XCLAIM', stream, group, consumer, 0, entry, 'RETRYCOUNT', 1, 'JUSTID')
    local row = claimed[1] and redis.call('XRANGE', stream, entry, entry)[1]
    if row then
      keep(index, row)
    else
      redis.call('ZREM', TURNS, place)
      event('lost_payload', id or '', '', stream, consumer, '0', '', '', entry)
      if key then order().release(key, id) end
    end
  end
end

local any_turns = redis.call('EXISTS', TURNS) == 1
local function serve(index, most)
  local stream = KEYS[index]
  if any_turns then serve_turns(index) end
  while most > 0 and want > 0 do
    local entries, problem = read(stream, math.min(want, most))
    if problem then
      avoid[#avoid + 1] = {stream, problem}
      return
    end
    for _, row in ipairs(entries) do keep(index, row) end
    if #entries == 0 then return end
    most = most - #entries
  end
end

-- The age in ms of the oldest entry that the group was not given yet; -1 if none waits.
local function waited(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return -1 end
  local from = '-'
  for _, flat in ipairs(groups) do
    local info = {}
    for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
    if info['name'] == group then from = '(' .. info['last-delivered-id'] end
  end
  local first = redis.call('XRANGE', stream, from, '+', 'COUNT', 1)[1]
  return first and NOW - id_ms(first[1]) or -1
end

for index = 2, #KEYS do
  local patience = tonumber(ARGV[4 + index] or '0')
  if patience > 0 and not paused[KEYS[index]] and waited(KEYS[index]) > patience then serve(index, 1) end
end
for index, stream in ipairs(KEYS) do
  if paused[stream] then
    avoid[#avoid + 1] = {stream, 'paused'}
  else
    -- Entries that are diverted fill no slot; a bound on them bounds this call.
    serve(index, want + 256)
  end
end
-- What was diverted above may have made room for the next of its key.
for index, stream in ipairs(turned and KEYS or {}) do
  if want > 0 and not paused[stream] then serve_turns(index) end
end
take_off(group)
ring()
count_events()
return {taken, next_due(), avoid, remade}
