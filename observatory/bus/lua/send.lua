-- Put messages into mailboxes. A message that was put there before is a repeated send: it is answered, not added.
-- `<prefix>:dedupe:<id>` is the record of a message: its entry by mailbox, and what acknowledge.lua and fetch.lua add.
-- ARGV: prefix, mailbox bound, bytes of a mailbox where the bus does not say, default ttl s, then per message: agent,
--   id, type, sender, n, n field strings
-- Returns per message {'sent' | 'duplicate' | 'busy' | 'broken', entry or problem, 1 if the agent was ever heard of}

local ONCE_TTL = 86400  -- seconds for which a repeated send is recognised, at least
local LONGEST = 604800  -- seconds of a message's life by which its record outlives that, at most
local GROUP = 'inbox'
local bound, usual_ttl = tonumber(ARGV[2]), tonumber(ARGV[4])
local said = redis.pcall('HGET', PREFIX .. ':retention', 'mailbox_bytes')
local most_bytes = tonumber(type(said) == 'string' and said or ARGV[3]) or tonumber(ARGV[3])

-- When an entry arrived, in ms.
local function born(entry)
  return tonumber(string.match(entry, '^(%d+)'))
end

local function groups_of(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  return groups.err and {} or groups
end

-- An agent is known once it has opened its mailbox, or has beaten.
local heard = {}
local function is_known(agent, stream)
  if heard[agent] ~= nil then return heard[agent] end
  local found = false
  for _, group in ipairs(groups_of(stream)) do found = found or group[2] == GROUP end
  found = found or redis.call('HEXISTS', PREFIX .. ':agents', agent) == 1
  local cursor, pages = '0', 0
  while not found and pages < 20 do
    local page = redis.call('HSCAN', PREFIX .. ':agents', cursor, 'MATCH', agent .. '@*', 'COUNT', 500)
    found = #page[2] > 0
    cursor, pages = page[1], pages + 1
    if cursor == '0' then break end
  end
  heard[agent] = found
  return found
end

-- A full mailbox that nobody reads makes room by what has expired at its front. It is delivered before it is
-- deleted: deleting what was never delivered would ruin the lag of the group.
local function make_room(agent, stream)
  local first, exists = '-', false
  for _, group in ipairs(groups_of(stream)) do
    for i = 1, #group, 2 do
      if group[i] == 'name' and group[i + 1] == GROUP then exists = true end
      if exists and group[i] == 'last-delivered-id' then first = '(' .. group[i + 1] end
    end
    if exists then break end
  end
  local expired = {}
  for _, row in ipairs(redis.call('XRANGE', stream, first, '+', 'COUNT', 100)) do
    local said = get(row[2], 'ttl')
    local ttl = (not said or said == '') and usual_ttl or tonumber(said)
    if not ttl or ttl <= 0 or NOW <= born(row[1]) + ttl * 1000 then break end
    expired[#expired + 1] = row
  end
  if #expired == 0 then return end
  if exists then redis.call('XREADGROUP', 'GROUP', GROUP, 'expiry', 'COUNT', #expired, 'STREAMS', stream, '>') end
  for _, row in ipairs(expired) do
    if exists then redis.call('XACK', stream, GROUP, row[1]) end
    redis.call('XDEL', stream, row[1])
    local id = get(row[2], 'id') or ''
    redis.pcall('HSET', PREFIX .. ':dedupe:' .. id, 'settled:' .. stream, NOW_TEXT .. ' expired')
    event('message_expired', id, get(row[2], 'type') or '', stream, agent, '0', '', text(NOW - born(row[1])), '')
  end
  if exists then redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, 'expiry') end
end

local function problem_of(reply)
  return type(reply) == 'table' and reply.err or nil
end

-- By count, or by the engine's estimate of its bytes; who may not ask for that is not bound by it.
local function is_full(stream, length)
  if length >= bound then return true end
  local size = most_bytes > 0 and length > 0 and redis.pcall('MEMORY', 'USAGE', stream)
  return type(size) == 'number' and size > most_bytes
end

-- Returns outcome and entry; something else in the place of a key is a word about this message alone.
local function send(agent, stream, id, type, sender, fields)
  local once = PREFIX .. ':dedupe:' .. id
  local before = redis.pcall('HGET', once, stream)
  if problem_of(before) then return 'broken', before.err end
  if before then return 'duplicate', before end
  local length = redis.pcall('XLEN', stream)
  if problem_of(length) then return 'broken', length.err end
  if is_full(stream, length) then
    make_room(agent, stream)
    if is_full(stream, redis.call('XLEN', stream)) then return 'busy', '' end
  end
  local entry = redis.call('XADD', stream, '*', unpack(fields))
  redis.call('HSET', once, stream, entry)
  redis.call('EXPIRE', once, ONCE_TTL + math.min(math.ceil(tonumber(get(fields, 'ttl') or '') or usual_ttl), LONGEST))
  event('message_sent', id, type, stream, sender, '0', '', '', '')
  return 'sent', entry
end

-- Ring for who reads very many mailboxes and cannot wait at each; a bell that is lost costs a second.
local rung = {}
local function ring_for(agent)
  if not rung[agent] then redis.pcall('PUBLISH', PREFIX .. ':notify:' .. agent, '') end
  rung[agent] = true
end

local answers = {}
local at = 5
while at <= #ARGV do
  local agent, id, type, sender, n = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  local stream = PREFIX .. ':messages:' .. agent
  local fields = {}
  for i = 1, n do fields[i] = ARGV[at + 4 + i] end
  local outcome, entry = send(agent, stream, id, type, sender, fields)
  if outcome == 'sent' then ring_for(agent) end
  answers[#answers + 1] = {outcome, entry, is_known(agent, stream) and 1 or 0}
  at = at + 5 + n
end
count_events()
return answers
