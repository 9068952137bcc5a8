#!lua flags=allow-oom
-- Find work that nobody does, in all lanes of a worker with one call: what dead or silent consumers hold is claimed,
-- what this consumer holds itself without having shown life for it is listed.
-- KEYS: lanes. ARGV: prefix, group, consumer, lease ms, orphan after ms, most to claim, then per lane the cursor of the
--   search
-- Returns {cursors, claimed {{lane index, entry, fields, deliveries} …}, own {{lane index, entry, deliveries} …}}.

local group, consumer, lease, quiet = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local want = tonumber(ARGV[6])
local PAGES = 500    -- one XAUTOCLAIM looks at ten entries for each that it may claim; so many calls bound a lane
local SEARCHERS = 8  -- in a large group about so many consumers search at a time: the cost must not grow with agents
local MOST_RETURNED = 200  -- parked entries that a call puts back at most
local cursors, claimed, own, returned = {}, {}, {}, 0

local function is_searcher(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return false end
  for _, flat in ipairs(groups) do
    local info = {}
    for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
    -- The microseconds of the clock are dice enough: who calls when is chance.
    if info['name'] == group then return tonumber(clock[2]) % math.max(info['consumers'], 1) < SEARCHERS end
  end
  return false
end

-- What is parked has no owner either, and is found again and again: it goes back until its turn has come.
local any_parked = redis.call('EXISTS', PARKED) == 1
local function stays_parked(stream, entry, deliveries)
  local place = group .. '\31' .. stream .. '\31' .. entry
  if not order().waits(place) then
    order().unpark(place)
    return false
  end
  redis.call('XCLAIM', stream, group, NOBODY, 0, entry, 'RETRYCOUNT', deliveries - 1, 'JUSTID')
  returned = returned + 1
  return true
end

local function claim(index, stream)
  local cursor = ARGV[6 + index]
  if not is_searcher(stream) then return cursor end
  for _ = 1, PAGES do
    if #claimed >= want then break end
    local reply = redis.pcall('XAUTOCLAIM', stream, group, consumer, lease, cursor, 'COUNT', want - #claimed)
    -- No group or a foreign key in the lane's place: there is nothing to take over, and `take` says why.
    if reply.err then return '0-0' end
    cursor = reply[1]
    for _, row in ipairs(reply[2]) do
      if row and row[2] then
        local deliveries = held(stream, group, consumer, row[1], row[1])[row[1]]
        if not any_parked or not stays_parked(stream, row[1], deliveries) then
          claimed[#claimed + 1] = {index - 1, row[1], row[2], deliveries}
        end
      end
    end
    if returned >= MOST_RETURNED then break end
    for _, entry in ipairs(reply[3] or {}) do
      event('lost_payload', '', '', stream, consumer, '0', '', '', entry)
    end
    if cursor == '0-0' then break end
  end
  return cursor
end

for index, stream in ipairs(KEYS) do
  local rows = redis.pcall('XPENDING', stream, group, '-', '+', 100, consumer)
  if not rows.err then
    for _, row in ipairs(rows) do
      if row[3] >= quiet then own[#own + 1] = {index - 1, row[1], row[4]} end
    end
  end
  cursors[index] = claim(index, stream)
end
-- The first of a key may have been deleted behind our back, and would hold up the rest for ever.
for _, place in ipairs(any_parked and redis.call('HRANDFIELD', PARKED, 8) or {}) do
  order().advance(cmsgpack.unpack(redis.call('HGET', PARKED, place))[1], true)
end
count_events()
return {cursors, claimed, own}
