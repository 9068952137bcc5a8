-- Put dead letters back into lanes with fresh attempts, keeping their ids and saying how often that happened.
-- ARGV: prefix, token, who, then per dead letter: entry of the dead-letter stream, stream to go to, task id, type
-- The token makes a repeated call an answer, not a second requeue. Returns per letter {'requeued' | 'gone', entry}.

local OURS = {reason = true, last_error = true, attempts = true, first_seen = true, source = true, source_id = true,
  worker = true, digest = true}

-- Our fields stand at the end; an original field of the same name stands before them and stays.
local function original(fields)
  local last = #fields - 1
  local seen = {}
  while last > 0 and OURS[fields[last]] and not seen[fields[last]] do
    seen[fields[last]] = true
    last = last - 2
  end
  local kept = {}
  for i = 1, last, 2 do
    if fields[i] ~= 'arrived' then
      kept[#kept + 1] = fields[i]
      kept[#kept + 1] = fields[i + 1]
    end
  end
  return kept
end

local who = ARGV[3]
local dlq = PREFIX .. ':tasks:dlq'
local once = PREFIX .. ':dedupe:' .. ARGV[2]
local answers = {}
for at = 4, #ARGV, 4 do
  local dead, stream, id, type = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local before = redis.call('HGET', once, dead)
  local row = redis.call('XRANGE', dlq, dead, dead)[1]
  if before then
    answers[#answers + 1] = {'requeued', before}
  elseif not row then
    answers[#answers + 1] = {'gone', ''}
  else
    local fields = original(row[2])
    put(fields, 'attempt', '1')
    put(fields, 'requeues', text((tonumber(get(fields, 'requeues')) or 0) + 1))
    local entry = add(stream, fields)
    if entry then
      appear(stream)
      redis.call('XDEL', dlq, dead)
      remember(id, RECORD_TTL, 'state', 'queued', 'lane', stream, 'entry', entry, 'attempt', '1', 'owner', '', 'type', type)
      redis.pcall('HDEL', record_key(id), 'reason')
      forget_cancel(id)
      local key = key_of(fields)
      if key then enlist(key, id) end
      redis.call('HSET', once, dead, entry)
      redis.call('EXPIRE', once, 3600)
      event('requeued', id, type, stream, who, '1', '', '', dead)
      answers[#answers + 1] = {'requeued', entry}
    else
      answers[#answers + 1] = {'no lane', ''}
    end
  end
end
ring()
count_events()
return answers
