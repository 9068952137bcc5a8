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
local cursors, claimed, own = {}, {}, {}

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
        claimed[#claimed + 1] = {index - 1, row[1], row[2], held(stream, group, consumer, row[1], row[1])[row[1]]}
      end
    end
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
count_events()
return {cursors, claimed, own}
