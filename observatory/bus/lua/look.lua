#!lua flags=no-writes
-- One look at the whole bus at one instant: no command here costs more with more entries or more pending.
-- ARGV: prefix, beats cursor, events cursor, dead letters known: length, newest id, scan cursor, n, n kinds of
--   events, then named queues already known.
-- Returns {now ms, scan cursor, queues, lanes, dead letters, delayed, last beats, beats, events, skipped, counts, paused}.

local BEATS, EVENTS, LETTERS = 2000, 256, 1000
local LETTER_BYTES = 2000000  -- dead letters are read only until this many bytes of them were seen
local PRIORITIES = {'critical', 'high', 'normal', 'low'}
local RANK = {critical = true, high = true, normal = true, low = true}

local function failed(reply)
  return type(reply) == 'table' and reply.err
end

-- Named queues: those that the client knows, that the bus registered, and that a slice of the key space shows.
local function find_queues(cursor, known)
  local set, head = {}, PREFIX .. ':tasks:'
  for _, queue in ipairs(known) do set[queue] = true end
  local registered = redis.pcall('SMEMBERS', head .. 'queues')
  if not failed(registered) then
    for _, queue in ipairs(registered) do set[queue] = true end
  end
  local page = redis.call('SCAN', cursor, 'MATCH', head .. '*', 'COUNT', 1000, 'TYPE', 'stream')
  for _, key in ipairs(page[2]) do
    local queue, priority = string.match(string.sub(key, #head + 1), '^([^:]+):([^:]+)$')
    if queue and RANK[priority] then set[queue] = true end
  end
  local queues = {}
  for queue in pairs(set) do queues[#queues + 1] = queue end
  table.sort(queues)
  return page[1], queues
end

-- Who could take what has been waiting for a while, flat: {name, pending, idle ms}. Looked at only then, and only where
-- they are few, because it costs more with more consumers.
local PATIENCE_MS, FEW = 5000, 100
local function consumers_of(stream, info, waiting)
  if not waiting or NOW - id_ms(waiting) < PATIENCE_MS or info['consumers'] > FEW then return false end
  local found = {}
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, info['name'])) do
    local consumer = map_of(flat)
    found[#found + 1] = consumer['name']
    found[#found + 1] = consumer['pending']
    found[#found + 1] = consumer['idle']
  end
  return found
end

local function read_group(stream, info)
  local name, last = info['name'], info['last-delivered-id']
  local summary = redis.call('XPENDING', stream, name)
  local owners = {}
  for _, row in ipairs(summary[4] or {}) do
    owners[#owners + 1] = row[1]
    owners[#owners + 1] = row[2]
  end
  local waiting = false
  if info['lag'] ~= 0 then
    local row = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1)[1]
    waiting = row and row[1] or false
  end
  -- A lag that the engine cannot tell is nil and would cut the table short; -1 stands for it on the way.
  return {name, info['lag'] or -1, info['pending'], info['consumers'], last, info['entries-read'] or -1,
    waiting, summary[2] or false, owners, consumers_of(stream, info, waiting)}
end

local function read_lane(stream)
  local length = redis.pcall('XLEN', stream)
  if failed(length) then return {stream, length.err, 0, -1, {}, false} end
  local added, groups = -1, {}
  local infos = redis.pcall('XINFO', 'GROUPS', stream)
  if failed(infos) then return {stream, '', length, 0, {}, false} end
  for _, flat in ipairs(infos) do
    local info = map_of(flat)
    groups[#groups + 1] = read_group(stream, info)
    if info['lag'] and info['entries-read'] then added = math.max(added, info['lag'] + info['entries-read']) end
  end
  if added < 0 then added = map_of(redis.call('XINFO', 'STREAM', stream))['entries-added'] or -1 end
  -- Where no group reads, everything waits.
  local first = #groups == 0 and redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  return {stream, '', length, added, groups, first and first[1] or false}
end

-- Our fields stand behind the original ones, so the last `reason` is ours.
local function reason_of(fields)
  for i = #fields - 1, 1, -2 do
    if fields[i] == 'reason' then return fields[i + 1] end
  end
  return '?'
end

local function read_letters(known_length, known_newest)
  local stream = PREFIX .. ':tasks:dlq'
  local length = redis.pcall('XLEN', stream)
  if failed(length) then return {length.err, -1, false, '', false, 0} end
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  local newest_id = newest and newest[1] or ''
  if length == known_length and newest_id == known_newest then
    return {'', length, first and first[1] or false, newest_id, false, 0}
  end
  local reasons, counted, bytes, from = {}, 0, 0, '+'
  repeat
    local page = redis.call('XREVRANGE', stream, from, '-', 'COUNT', 50)
    for _, row in ipairs(page) do
      local reason = reason_of(row[2])
      reasons[reason] = (reasons[reason] or 0) + 1
      counted = counted + 1
      for _, value in ipairs(row[2]) do bytes = bytes + #value end
      from = '(' .. row[1]
    end
  until #page < 50 or counted >= LETTERS or bytes > LETTER_BYTES
  local flat = {}
  for reason, n in pairs(reasons) do
    flat[#flat + 1] = reason
    flat[#flat + 1] = n
  end
  return {'', length, first and first[1] or false, newest_id, flat, counted}
end

local function read_beats(cursor)
  local stream = PREFIX .. ':heartbeats'
  if cursor ~= '-' then
    local rows = redis.pcall('XRANGE', stream, '(' .. cursor, '+', 'COUNT', BEATS)
    return {}, failed(rows) and {} or rows
  end
  local last = {}
  local known = redis.pcall('HGETALL', PREFIX .. ':agents')
  if not failed(known) then
    for i = 2, #known, 2 do
      local readable, beat = pcall(cmsgpack.unpack, known[i])
      if readable and type(beat) == 'table' and tonumber(beat.at) and type(beat.fields) == 'table' then
        last[#last + 1] = {text(beat.at), beat.fields}
      end
    end
  end
  local rows = redis.pcall('XREVRANGE', stream, '+', '-', 'COUNT', BEATS)
  local ordered = {}
  if not failed(rows) then
    for i = #rows, 1, -1 do ordered[#ordered + 1] = rows[i] end
  end
  return last, ordered
end

-- How many facts an entry of the log holds: the tasks of a run stand behind U+001E, and so do their times.
local function facts_in(fields)
  local facts = 0
  for i = 4, #fields, 2 do
    local _, separators = string.gsub(fields[i], '\30', '')
    facts = facts + 1 + separators / 2
  end
  return facts
end

-- An entry of the log holds all facts of one call, so pages of entries are read until there are enough facts.
local function read_events(days, cursor)
  local newest, facts = {}, 0
  for _, day in ipairs(days) do
    local from, rows = '+', nil
    repeat
      rows = redis.pcall('XREVRANGE', PREFIX .. ':events:' .. day, from, cursor == '' and '-' or '(' .. cursor,
        'COUNT', 32)
      if failed(rows) then break end
      for _, row in ipairs(rows) do
        newest[#newest + 1] = row
        facts = facts + facts_in(row[2])
        from = '(' .. row[1]
      end
    until #rows < 32 or facts > EVENTS
  end
  return newest, (facts > EVENTS and cursor ~= '') and 1 or 0
end

local kinds, known = {}, {}
for i = 1, tonumber(ARGV[7]) do kinds[i] = ARGV[7 + i] end
for i = 8 + #kinds, #ARGV do known[#known + 1] = ARGV[i] end

local function read_counts()
  local rows = {}
  for minute = MINUTE - 1, MINUTE do
    local fields = {}
    for i, kind in ipairs(kinds) do fields[i] = text(minute) .. ':' .. kind end
    local values = redis.pcall('HMGET', PREFIX .. ':density:' .. day_of(minute * 60000), unpack(fields))
    if not failed(values) then
      for i, value in ipairs(values) do
        if value then rows[#rows + 1] = {text(minute), kinds[i], value} end
      end
    end
  end
  return rows
end

local scan, queues = find_queues(ARGV[6], known)
local lanes = {}
for _, priority in ipairs(PRIORITIES) do lanes[#lanes + 1] = read_lane(PREFIX .. ':tasks:' .. priority) end
for _, queue in ipairs(queues) do
  for _, priority in ipairs(PRIORITIES) do
    lanes[#lanes + 1] = read_lane(PREFIX .. ':tasks:' .. queue .. ':' .. priority)
  end
end
local delayed = redis.pcall('ZCARD', PREFIX .. ':tasks:delayed')
local paused = redis.pcall('HGETALL', PREFIX .. ':tasks:paused')
local last_beats, beats = read_beats(ARGV[2])
local events, skipped = read_events({day_of(NOW), day_of(NOW - 86400000)}, ARGV[3])
return {text(NOW), scan, queues, lanes, read_letters(tonumber(ARGV[4]), ARGV[5]), failed(delayed) and -1 or delayed,
  last_beats, beats, events, skipped, read_counts(), failed(paused) and {} or paused}
