-- Shared by the scripts of an operator's changes: for one job each item is done once, however often it is asked for, and
-- an executor whose job passed to another one does nothing any more.
-- ARGV: prefix, job, fencing token, who, seconds for which answers are kept; then what the script wants for all items,
--   and behind it for each item its id and what is needed for it

local JOB, TOKEN, WHO, KEEP = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]

local function done_key(job)
  return PREFIX .. ':job:' .. job .. ':done'
end

local DONE = done_key(JOB)

-- Whether an executor that took the job over later has been here; then this one is too late.
local function is_fenced()
  local highest = tonumber(redis.call('HGET', DONE, '#') or '0')
  if TOKEN > highest then redis.call('HSET', DONE, '#', ARGV[3]) end
  return TOKEN < highest
end

-- What the answer for an item said, and what was kept for taking it back; nil if there is none.
local function answered(job, item)
  local packed = redis.call('HGET', done_key(job), '=' .. item)
  if not packed then return nil end
  return unpack(cmsgpack.unpack(packed))
end

-- Do all items from ARGV[from] on, `width` arguments each, and return {outcome, entry} for each. `work` is given where
-- an item's arguments begin behind its id, and returns its outcome, an entry id or other text, and what to keep.
local function each(from, width, work)
  local answers = {}
  local fenced = is_fenced()
  for at = from, #ARGV, width do
    local outcome, entry = 'fenced', ''
    if not fenced then
      outcome, entry = answered(JOB, ARGV[at])
      if not outcome then
        local kept
        outcome, entry, kept = work(at + 1)
        entry = entry or ''
        redis.call('HSET', DONE, '=' .. ARGV[at], cmsgpack.pack({outcome, entry, kept}))
      end
    end
    answers[#answers + 1] = {outcome, entry}
  end
  redis.call('EXPIRE', DONE, KEEP)
  return answers
end

-- The fields of an entry, less what a later form of it says alike: with it they can be told again.
local function difference(before, after)
  local kept = {}
  for i = 1, #before, 2 do
    kept[i] = before[i]
    if get(after, before[i]) == before[i + 1] then kept[i + 1] = false else kept[i + 1] = before[i + 1] end
  end
  return kept
end

local function restored(kept, after)
  local fields = {}
  for i = 1, #kept, 2 do
    fields[i] = kept[i]
    if kept[i + 1] == false then fields[i + 1] = get(after, kept[i]) else fields[i + 1] = kept[i + 1] end
  end
  return fields
end

-- The fencing token of a delivery, and that its owner has not shown life since it was looked at.
local function holds_still(stream, group, entry, consumer, deliveries, idle)
  local rows = redis.pcall('XPENDING', stream, group, entry, entry, 1)
  local row = not rows.err and rows[1]
  if not row then return 'settled' end
  if row[2] ~= consumer or row[4] ~= tonumber(deliveries) then return 'moved' end
  if idle ~= '' and row[3] < tonumber(idle) then return 'alive' end
  return nil
end
