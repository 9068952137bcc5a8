#!lua flags=allow-oom
-- Start what a blocked read has just brought. It is sent behind that read, so that the engine runs it the moment the
-- read ends, and what arrived is running without another round trip.
-- KEYS: lanes. ARGV: prefix, group, consumer, then stream and entry of all that this consumer knows to hold
-- Returns per entry {lane index, entry, 1 (run it) | 0 (diverted)}; what only the tolerant reader can tell is left out.

local RECENT = 1000  -- ms: the read brings what has just been added
local FRESH = 100    -- ms since the delivery
local group, consumer = ARGV[2], ARGV[3]
local held, begun = {}, {}
for at = 4, #ARGV, 2 do held[ARGV[at] .. ' ' .. ARGV[at + 1]] = true end

for index, stream in ipairs(KEYS) do
  local rows = redis.pcall('XPENDING', stream, group, text(NOW - RECENT), '+', 100, consumer)
  for _, row in ipairs(rows.err and {} or rows) do
    local entry = row[1]
    if row[3] <= FRESH and row[4] == 1 and not held[stream .. ' ' .. entry] then
      local fields = (redis.call('XRANGE', stream, entry, entry)[1] or {})[2]
      local id, type, ttl, attempt, arrived, key = canonical(fields or {})
      if id then
        local runs = start(stream, group, consumer, entry, 1, id, type, attempt, arrived or id_ms(entry), ttl * 1000, key)
        begun[#begun + 1] = {index - 1, entry, runs and 1 or 0}
      end
    end
  end
end
take_off(group)
count_events()
return begun
