-- The event log: what every script that changes state writes down of it. The loader puts it behind ids.lua.

local LOG_TTL = 1209600    -- seconds a day of events and density stays in the engine

local DAY = day_of(NOW)
local LOG = PREFIX .. ':events:' .. DAY
local DENSITY = PREFIX .. ':density:' .. DAY
local runs = {}

-- One fact: its kind, and what it says. Facts that follow each other and differ in nothing but the task and the time
-- that it took are one run, written as one: a batch of equal work costs the log little more than its ids.
local function event(kind, task, type, lane, agent, attempt, reason, ms, detail)
  local run = runs[#runs]
  if not run or run.kind ~= kind or run.type ~= type or run.lane ~= lane or run.agent ~= agent
    or run.attempt ~= attempt or run.reason ~= reason or run.detail ~= detail then
    run = {kind = kind, type = type, lane = lane, agent = agent, attempt = attempt, reason = reason, detail = detail,
      tasks = {}, times = {}}
    runs[#runs + 1] = run
  end
  local n = #run.tasks + 1
  -- A separator inside foreign text would shift the rest.
  run.tasks[n] = string.find(task, '[\30\31]') and string.gsub(task, '[\30\31]', '?') or task
  run.times[n] = ms
end

-- What a run says, in a fixed order behind U+001F; its tasks and their times are lists behind U+001E.
local function written(run)
  return table.concat({table.concat(run.tasks, '\30'), string.sub(string.gsub(run.type, '\31', '?'), 1, 128), run.lane,
    run.agent, run.attempt, run.reason, table.concat(run.times, '\30'), string.sub(run.detail, 1, 512)}, '\31')
end

-- Write down what this call did; called once, at its end. All facts of a call are one entry of the log, and a kind
-- is counted once, so that a batch costs little more than a single change.
local function count_events()
  if not runs[1] then return end
  local facts, counted = {}, {}
  for _, run in ipairs(runs) do
    facts[#facts + 1] = run.kind
    facts[#facts + 1] = written(run)
    counted[run.kind] = (counted[run.kind] or 0) + #run.tasks
  end
  for first = 1, #facts, 4000 do
    redis.call('XADD', LOG, '*', 'ts', NOW_TEXT, unpack(facts, first, math.min(first + 3999, #facts)))
  end
  local fresh = false
  for kind, n in pairs(counted) do
    if redis.call('HINCRBY', DENSITY, text(MINUTE) .. ':' .. kind, n) == n then fresh = true end
  end
  -- Where nothing of its kind happened in this minute yet, both may be new: that is often enough.
  if fresh then
    redis.call('EXPIRE', LOG, LOG_TTL)
    redis.call('EXPIRE', DENSITY, LOG_TTL)
  end
end

local function get(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
  return nil
end
