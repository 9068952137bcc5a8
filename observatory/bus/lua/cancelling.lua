-- Cancel a task by id, wherever it is; used by `cancel` and `cancel_many`. A queued entry is only marked, unless it is
-- parked: deleting what a group was not given yet would ruin its lag. `take` drops it.
-- Returns 'cancelled', 'requested' (it runs; its worker will stop it), 'settled' (too late) or 'unknown'; and what is
--   needed to want it after all, or nil.

-- Whether some group has it in hand.
local function in_hand(stream, entry)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return false end
  for _, info in ipairs(groups) do
    if redis.call('XPENDING', stream, info[2], entry, entry, 1)[1] then return true end
  end
  return false
end

local function cancel(id, who)
  local record = recall(id, 'state', 'lane', 'entry', 'attempt', 'type', 'parked')
  local state, stream, entry = record[1], record[2], record[3]
  local kept
  if not state then return 'unknown' end
  if state == 'done' or state == 'dead' then return 'settled' end
  if state == 'cancelled' then return 'cancelled' end
  if state == 'delayed' then
    local packed = redis.call('HGET', PREFIX .. ':tasks:delayed:bodies', entry)
    local due = redis.call('ZSCORE', PREFIX .. ':tasks:delayed', entry)
    redis.call('ZREM', PREFIX .. ':tasks:delayed', entry)
    redis.call('HDEL', PREFIX .. ':tasks:delayed:bodies', entry)
    if packed and due then kept = {entry, due, packed} end
    local readable, body = pcall(cmsgpack.unpack, packed or '')
    local key = readable and type(body) == 'table' and type(body.fields) == 'table' and key_of(body.fields)
    if key then order().release(key, id) end
  elseif record[6] and redis.call('HEXISTS', PARKED, record[6]) == 1 then
    local key = order().unpark(record[6])
    drop(stream, entry)
    take_off(string.match(record[6], '^(.-)\31'))
    dropped = {}
    order().release(key, id)
  else
    redis.call('SADD', CANCELLED, id)
    redis.call('EXPIRE', CANCELLED, RECORD_TTL)
    if in_hand(stream, entry) then
      remember(id, nil, 'cancel', who)
      redis.call('PUBLISH', PREFIX .. ':control', 'cancel ' .. id)
      return 'requested'
    end
    kept = {entry}
  end
  if turned then redis.call('PUBLISH', PREFIX .. ':control', 'wake') end
  remember(id, RECORD_TTL, 'state', 'cancelled', 'owner', '')
  event('cancelled', id, record[5] or '', stream, who, record[4] or '1', '', '', '')
  return 'cancelled', kept
end
