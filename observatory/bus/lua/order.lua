-- Ordering keys: the tasks of one key are handled one after another, in the order in which they arrived.
-- The order of a key lists the ids of its unsettled tasks, and only the first of them may run: through its retries,
-- and from one consumer to the next. What is delivered before its turn is parked: it keeps its place in its lane,
-- pending in the name of nobody, until what stands before it is settled and `take` serves it before the rest of
-- the lane. The place of a parked entry is group, stream and entry in one text.

local NOBODY = '~parked'
local PARKED = PREFIX .. ':tasks:parked'  -- place -> packed key and id
local TURNS = PREFIX .. ':tasks:turns'    -- places whose turn has come
local turned = false                      -- a turn has come in this call

local made
-- Made at the first task with a key, because most calls meet none.
local function order()
  if made then return made end
  made = {}

  local function first_of(key)
    local ids = redis.pcall('ZRANGE', order_key(key), 0, 0)
    return ids[1]
  end

  -- Whether a task is where its record says: somebody may have deleted or acknowledged it behind our back.
  local function is_there(id)
    local record = recall(id, 'state', 'lane', 'entry')
    local state, stream, entry = record[1], record[2], record[3]
    if state == 'delayed' then return redis.call('HEXISTS', PREFIX .. ':tasks:delayed:bodies', entry) == 1 end
    if state ~= 'queued' then return false end
    local rows = redis.pcall('XRANGE', stream, entry, entry)
    if rows.err or not rows[1] then return false end
    local groups = redis.call('XINFO', 'GROUPS', stream)
    for _, flat in ipairs(groups) do
      local info = {}
      for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
      if earlier(info['last-delivered-id'], entry) then return true end
      if redis.call('XPENDING', stream, info['name'], entry, entry, 1)[1] then return true end
    end
    return #groups == 0
  end

  -- Call the first of a key, if it is parked. The careful form strikes out those that are nowhere any more.
  function made.advance(key, carefully)
    for _ = 1, 100 do
      local first = first_of(key)
      if not first then return end
      local place = recall(first, 'parked')[1]
      if place and redis.call('HEXISTS', PARKED, place) == 1 then
        redis.call('ZADD', TURNS, 0, place)
        turned = true
        return
      end
      if not carefully or is_there(first) then return end
      redis.call('ZREM', order_key(key), first)
    end
  end

  -- A task is settled: the next of its key may run.
  function made.release(key, id)
    redis.pcall('ZREM', order_key(key), id)
    made.advance(key)
  end

  -- Whether a task may run now.
  function made.is_next(key, id)
    enlist(key, id)
    for _ = 1, 100 do
      local first = first_of(key)
      if not first or first == id then return true end
      if is_there(first) then return false end
      redis.call('ZREM', order_key(key), first)
    end
    return false
  end

  function made.park(group, stream, entry, key, id)
    local place = group .. '\31' .. stream .. '\31' .. entry
    redis.call('XCLAIM', stream, group, NOBODY, 0, entry, 'JUSTID')
    redis.call('HSET', PARKED, place, cmsgpack.pack({key, id}))
    remember(id, nil, 'state', 'queued', 'parked', place)
  end

  -- Take a place out of the parked; returns its key and id, or nil if it was not among them.
  function made.unpark(place)
    local packed = redis.call('HGET', PARKED, place)
    if not packed then return nil end
    redis.call('HDEL', PARKED, place)
    redis.call('ZREM', TURNS, place)
    local parked = cmsgpack.unpack(packed)
    redis.pcall('HDEL', record_key(parked[2]), 'parked')
    return parked[1], parked[2]
  end

  -- Whether a parked place is to stay parked: something stands before it.
  function made.waits(place)
    local packed = redis.call('HGET', PARKED, place)
    if not packed then return false end
    local key, id = unpack(cmsgpack.unpack(packed))
    local listed = redis.pcall('ZSCORE', order_key(key), id)
    return type(listed) == 'string' and first_of(key) ~= id
  end

  return made
end
