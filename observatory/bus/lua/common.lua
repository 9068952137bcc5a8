-- Shared by every script that changes state; the loader puts it in front of them, behind facts.lua.

local RECORD_TTL = 604800  -- seconds a record outlives its last change while the task lives, where its ttl is unknown
local SETTLED_TTL = 86400  -- seconds a record outlives its task, at least

local function record_key(id)
  return PREFIX .. ':task:' .. id
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

-- Ids that somebody cancelled while they were queued or running, and entries (`<stream> <entry>`) that somebody withdrew
-- before they were taken. Nearly always empty, so it is asked once a call.
local CANCELLED = PREFIX .. ':tasks:cancelled'
local cancelled_some
local function any_cancelled()
  if cancelled_some == nil then cancelled_some = redis.call('EXISTS', CANCELLED) == 1 end
  return cancelled_some
end

local function is_cancelled(id)
  return any_cancelled() and redis.call('SISMEMBER', CANCELLED, id) == 1
end

-- unpack stops near 8,000 values, so an entry that is wider keeps its fields as netstrings in one, which readers
-- take apart again.
local WIDEST = 7000
local function narrow(fields)
  if #fields <= WIDEST then return fields end
  local parts = {}
  for i = 1, #fields do parts[i] = #fields[i] .. ':' .. fields[i] .. ',' end
  return {'netstrings', table.concat(parts)}
end

-- Workers sleep at one partition of a cluster; in the others they stand among the sleepers of the queues they serve:
-- `group U+001F consumer`, until a time in ms. A bus of one part, whose prefix has no braces, has no sleepers.
local NUMBER = string.match(PREFIX, '^{.*:(%d+)}$')
local function sleepers_of(stream)
  return PREFIX .. ':sleepers:' .. (string.match(string.sub(stream, #PREFIX + 8), '^(.*):') or 'shared')
end

-- Work has appeared in a lane; counted here, and told by `ring` once a call.
local appeared = {}
local function appear(stream)
  if NUMBER then appeared[stream] = (appeared[stream] or 0) + 1 end
end

-- Ring for sleepers, in each group as many as there is work for, those who were heard of last before the others: a bell
-- is `ring`, the number of the partition, and who is called. Who is called is no sleeper any more. Bells may be lost,
-- so a user without the right to publish changes nothing but how soon the work is found.
local MOST_RUNG, MOST_SEEN = 8, 100
local function ring()
  for stream, n in pairs(appeared) do
    local key, rung = sleepers_of(stream), {}
    local sleepers = redis.pcall('ZRANGE', key, 0, MOST_SEEN - 1, 'REV', 'WITHSCORES')
    for i = 1, #sleepers, 2 do
      local group, consumer = string.match(sleepers[i], '^(.-)\31(.*)$')
      if not group or tonumber(sleepers[i + 1]) < NOW then
        redis.call('ZREM', key, sleepers[i])
      elseif (rung[group] or 0) < math.min(n, MOST_RUNG) then
        rung[group] = (rung[group] or 0) + 1
        redis.call('ZREM', key, sleepers[i])
        redis.pcall('PUBLISH', PREFIX .. ':control', 'ring ' .. NUMBER .. ' ' .. consumer)
      end
    end
  end
end

-- Returns the new entry, or nil and why: something else may stand in the stream's place.
local function add(stream, fields)
  local reply = redis.pcall('XADD', stream, '*', unpack(narrow(fields)))
  if type(reply) == 'table' then return nil, reply.err end
  return reply
end

-- Records are a convenience: a foreign key in a record's place must not keep a task from running. Without a ttl the
-- record keeps the one it has; one that had expired and is made anew gets one in any case.
local function remember(id, ttl, ...)
  local key = record_key(id)
  local added = redis.pcall('HSET', key, ...)
  if type(added) == 'table' then return end
  if not ttl and added == select('#', ...) / 2 then ttl = SETTLED_TTL end
  if ttl then redis.call('EXPIRE', key, ttl) end
end

-- Forget that somebody wanted to cancel it: it is settled, or has begun anew.
local function forget_cancel(id)
  redis.call('SREM', CANCELLED, id)
  redis.pcall('HDEL', record_key(id), 'cancel')
end

local function recall(id, ...)
  local reply = redis.pcall('HMGET', record_key(id), ...)
  return reply.err and {} or reply
end

-- Entries to take off a group; they leave the stream only if no other group could still want them.
local dropped = {}
local function drop(stream, entry)
  local entries = dropped[stream]
  if not entries then
    entries = {}
    dropped[stream] = entries
  end
  entries[#entries + 1] = entry
end

local function delete(stream, entries)
  for first = 1, #entries, 4000 do
    redis.call('XDEL', stream, unpack(entries, first, math.min(first + 3999, #entries)))
  end
  if any_cancelled() then
    for _, entry in ipairs(entries) do redis.call('SREM', CANCELLED, stream .. ' ' .. entry) end
  end
end

-- Where one group reads a lane, settled entries are deleted at once, but for the newest that it was given while more
-- wait behind it: the engine cannot tell the lag of a group whose last delivered entry is gone.
local KEPT = PREFIX .. ':tasks:kept'
local function delete_settled(stream, entries)
  local groups = redis.call('XINFO', 'GROUPS', stream)
  if #groups ~= 1 then return end
  local info = {}
  for i = 1, #groups[1], 2 do info[groups[1][i]] = groups[1][i + 1] end
  local keep = info['lag'] ~= nil and info['lag'] ~= 0 and info['last-delivered-id']
  local kept = redis.call('HGET', KEPT, stream)
  if kept and kept ~= keep then
    entries[#entries + 1] = kept
    redis.call('HDEL', KEPT, stream)
  end
  for i = #entries, 1, -1 do
    if entries[i] == keep then
      table.remove(entries, i)
      redis.call('HSET', KEPT, stream, keep)
    end
  end
  delete(stream, entries)
end

local function take_off(group)
  for stream, entries in pairs(dropped) do
    for first = 1, #entries, 4000 do
      redis.call('XACK', stream, group, unpack(entries, first, math.min(first + 3999, #entries)))
    end
    delete_settled(stream, entries)
  end
end

-- The fencing token of a delivery is (consumer, delivery count). Returns the count by entry of what `consumer`
-- holds between two entries of a stream: one call, however many deliveries are asked about.
local function held(stream, group, consumer, first, last)
  local rows = redis.pcall('XPENDING', stream, group, first, last, 100000, consumer)
  local counts = {}
  if not rows.err then
    for _, row in ipairs(rows) do counts[row[1]] = row[4] end
  end
  return counts
end

-- What `consumer` holds of the deliveries in ARGV: `width` arguments each, stream and entry first.
local function held_of_all(group, consumer, from, width, to)
  local spans, counts = {}, {}
  for at = from, to or #ARGV, width do
    local stream, entry = ARGV[at], ARGV[at + 1]
    local span = spans[stream]
    if not span then
      spans[stream] = {entry, entry}
    elseif earlier(entry, span[1]) then
      span[1] = entry
    elseif earlier(span[2], entry) then
      span[2] = entry
    end
  end
  for stream, span in pairs(spans) do counts[stream] = held(stream, group, consumer, span[1], span[2]) end
  return counts
end

-- The bus hears for the first time of an entry that a foreign agent added, or added again.
local function observe(id, type, stream, attempt)
  event('observed', id, type, stream, '', attempt, '', '', '')
end

local function settled(id, state, consumer)
  -- Its expiry was set when it came, to a day after the end of its time to live.
  remember(id, nil, 'state', state, 'owner', consumer)
end

-- Move an entry to the dead letters: the original fields, then ours, so that a plain XADD back is a valid replay.
-- Returns the dead letter's id, or nil if there is something else in the stream's place; then nothing has changed.
local function bury(stream, entry, fields, id, type, consumer, attempt, reason, message, ms, digest)
  local dead = {}
  for i, value in ipairs(narrow(fields)) do dead[i] = value end
  -- The id that it ran under, where a foreign entry carried none, another that cannot be used, or another name for it.
  if get(dead, 'id') ~= id then put(dead, 'id', id) end
  local first = get(fields, 'arrived') or text(id_ms(entry))
  for _, value in ipairs({'reason', reason, 'last_error', message, 'attempts', attempt, 'first_seen', first,
    'source', stream, 'source_id', entry, 'worker', consumer, 'digest', digest or ''}) do
    dead[#dead + 1] = value
  end
  local sid = add(PREFIX .. ':tasks:dlq', dead)
  if not sid then return nil end
  local before = recall(id, 'entry')[1]
  if before ~= entry then observe(id, type, stream, attempt) end
  remember(id, SETTLED_TTL, 'state', 'dead', 'lane', PREFIX .. ':tasks:dlq', 'entry', sid, 'attempt', attempt,
    'owner', consumer, 'reason', reason, 'type', type)
  event('dead_lettered', id, type, stream, consumer, attempt, reason, ms, message)
  return sid
end

local function order_key(key)
  return PREFIX .. ':order:' .. key
end

local MAX_KEY = 200  -- as in wire.py
local function fit_key(key)
  return key and key ~= '' and #key <= MAX_KEY and key or nil
end

-- The ordering key of an entry, or nil.
local function key_of(fields)
  return fit_key(get(fields, 'ordering_key'))
end

-- Put a task at the end of the order of its key, unless it has a place there.
local function enlist(key, id)
  local last = redis.pcall('ZRANGE', order_key(key), -1, -1, 'WITHSCORES')
  if last.err then return end
  redis.call('ZADD', order_key(key), 'NX', (tonumber(last[2]) or 0) + 1, id)
end

-- What was packed by the publisher or by a failed attempt becomes an entry of its lane. What cannot, because the
-- lane is not a stream or the body not ours, waits five seconds more.
local function promote(limit)
  local delayed = PREFIX .. ':tasks:delayed'
  local bodies = delayed .. ':bodies'
  local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', NOW_TEXT, 'LIMIT', 0, limit)
  for _, member in ipairs(due) do
    local packed = redis.call('HGET', bodies, member)
    local readable, body = pcall(cmsgpack.unpack, packed or '')
    readable = readable and type(body) == 'table' and type(body.fields) == 'table' and body.stream and body.id
    local sid = readable and add(body.stream, body.fields)
    if sid then
      remember(body.id, RECORD_TTL, 'state', 'queued', 'lane', body.stream, 'entry', sid, 'attempt', body.attempt,
        'owner', '')
      local key = key_of(body.fields)
      if key then enlist(key, body.id) end
      appear(body.stream)
      event('promoted', body.id, body.type, body.stream, '', body.attempt, '', '', '')
      redis.call('HDEL', bodies, member)
      redis.call('ZREM', delayed, member)
    elseif packed then
      redis.call('ZADD', delayed, text(NOW + 5000), member)
    else
      redis.call('ZREM', delayed, member)
      event('lost_payload', string.match(member, '^id:(.*)$') or '', '', '', '', '0', '', '', member)
    end
  end
end

local function delay(member, due, stream, fields, id, type, attempt)
  local delayed = PREFIX .. ':tasks:delayed'
  redis.call('HSET', delayed .. ':bodies', member,
    cmsgpack.pack({stream = stream, fields = fields, id = id, type = type, attempt = attempt}))
  redis.call('ZADD', delayed, text(due), member)
  if due <= NOW then appear(stream) end
end

local function next_due()
  local first = redis.call('ZRANGE', PREFIX .. ':tasks:delayed', 0, 0, 'WITHSCORES')
  if not first[2] then return -1 end
  return math.max(tonumber(first[2]) - NOW, 0)
end
