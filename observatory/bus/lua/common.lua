-- Shared by every script that changes state; the loader puts it in front of them, behind clock.lua.

local RECORD_TTL = 604800  -- seconds a record outlives its last change while the task lives
local SETTLED_TTL = 86400  -- seconds a record outlives its task
local LOG_TTL = 1209600    -- seconds a day of events and density stays in the engine

local DAY = day_of(NOW)
local LOG = PREFIX .. ':events:' .. DAY
local DENSITY = PREFIX .. ':density:' .. DAY
local counted = {}

-- One fact: the field set and its order never change, so a node stores the names once.
local function event(kind, task, type, lane, agent, attempt, reason, ms, detail)
  redis.call('XADD', LOG, '*', 'kind', kind, 'task', task, 'type', string.sub(type, 1, 128), 'lane', lane,
    'agent', agent, 'attempt', attempt, 'reason', reason, 'ms', ms, 'detail', string.sub(detail, 1, 512), 'ts', text(NOW))
  counted[kind] = (counted[kind] or 0) + 1
end

-- Count what this call did; called once at its end, so that a batch costs one increment a kind.
local function count_events()
  local any = false
  for kind, n in pairs(counted) do
    redis.call('HINCRBY', DENSITY, text(MINUTE) .. ':' .. kind, n)
    any = true
  end
  if any then
    redis.call('EXPIRE', LOG, LOG_TTL)
    redis.call('EXPIRE', DENSITY, LOG_TTL)
  end
end

local function record_key(id)
  return PREFIX .. ':task:' .. id
end

local function id_ms(entry)
  return tonumber(string.match(entry, '^(%d+)'))
end

-- Replace the value of a field in a flat list, or append the field.
local function put(fields, name, value)
  for i = 1, #fields, 2 do
    if fields[i] == name then
      fields[i + 1] = value
      return
    end
  end
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end

local function get(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
  return nil
end

-- Add an entry of any width: unpack stops near 8,000 values, so a wider one keeps its fields packed in one.
local function add(stream, fields)
  if #fields > 7000 then fields = {'packed', cmsgpack.pack(fields)} end
  return redis.call('XADD', stream, '*', unpack(fields))
end

-- How many groups read a stream; with one, settled entries are deleted at once.
local groups_of = {}
local function only_group(stream)
  local n = groups_of[stream]
  if n == nil then
    n = #redis.call('XINFO', 'GROUPS', stream)
    groups_of[stream] = n
  end
  return n == 1
end

-- Take an entry off a group; it leaves the stream only if no other group could still want it.
local function drop(stream, group, entry)
  redis.call('XACK', stream, group, entry)
  if only_group(stream) then redis.call('XDEL', stream, entry) end
end

-- The fencing token of a delivery is (consumer, delivery count): nil if nobody holds the entry any more.
local function delivery(stream, group, entry)
  local row = redis.call('XPENDING', stream, group, entry, entry, 1)[1]
  if not row then return nil, 0 end
  return row[2], row[4]
end

local function owns(stream, group, entry, consumer, deliveries)
  local holder, n = delivery(stream, group, entry)
  return holder == consumer and n == tonumber(deliveries)
end

-- The first time that the bus hears of a task which a foreign agent added by plain XADD.
local function observe(key, id, type, stream, entry, attempt)
  if redis.call('HSETNX', key, 'state', 'queued') == 1 then
    redis.call('HSET', key, 'lane', stream, 'entry', entry, 'attempt', attempt, 'type', type)
    redis.call('EXPIRE', key, RECORD_TTL)
    event('observed', id, type, stream, '', attempt, '', '', '')
  end
end

-- Move an entry to the dead letters: the original fields, then ours, so that a plain XADD back is a valid replay.
local function bury(stream, entry, fields, id, type, consumer, attempt, reason, message, ms)
  local dead = {}
  for i = 1, #fields do dead[i] = fields[i] end
  local first = get(fields, 'arrived') or text(id_ms(entry))
  for _, value in ipairs({'reason', reason, 'last_error', message, 'attempts', attempt, 'first_seen', first,
    'source', stream, 'source_id', entry, 'worker', consumer}) do
    dead[#dead + 1] = value
  end
  local key = record_key(id)
  observe(key, id, type, stream, entry, attempt)
  local sid = add(PREFIX .. ':tasks:dlq', dead)
  redis.call('HSET', key, 'state', 'dead', 'lane', PREFIX .. ':tasks:dlq', 'entry', sid, 'attempt', attempt,
    'owner', consumer, 'reason', reason)
  redis.call('EXPIRE', key, SETTLED_TTL)
  event('dead_lettered', id, type, stream, consumer, attempt, reason, ms, message)
  return sid
end

-- What was packed by the publisher or by a failed attempt becomes an entry of its lane.
local function promote(limit)
  local delayed = PREFIX .. ':tasks:delayed'
  local bodies = delayed .. ':bodies'
  local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', text(NOW), 'LIMIT', 0, limit)
  for _, member in ipairs(due) do
    local packed = redis.call('HGET', bodies, member)
    if packed then
      local body = cmsgpack.unpack(packed)
      local sid = add(body.stream, body.fields)
      local key = record_key(body.id)
      redis.call('HSET', key, 'state', 'queued', 'lane', body.stream, 'entry', sid, 'attempt', body.attempt, 'owner', '')
      redis.call('EXPIRE', key, RECORD_TTL)
      event('promoted', body.id, body.type, body.stream, '', body.attempt, '', '', '')
      redis.call('HDEL', bodies, member)
    end
    redis.call('ZREM', delayed, member)
  end
end

local function delay(member, due, stream, fields, id, type, attempt)
  local delayed = PREFIX .. ':tasks:delayed'
  redis.call('HSET', delayed .. ':bodies', member,
    cmsgpack.pack({stream = stream, fields = fields, id = id, type = type, attempt = attempt}))
  redis.call('ZADD', delayed, text(due), member)
end

local function next_due()
  local first = redis.call('ZRANGE', PREFIX .. ':tasks:delayed', 0, 0, 'WITHSCORES')
  if not first[2] then return -1 end
  return math.max(tonumber(first[2]) - NOW, 0)
end
