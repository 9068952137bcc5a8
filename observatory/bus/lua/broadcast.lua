-- Tell all agents. A broadcast that was made before is a repeated send: it is answered, not added.
-- ARGV: prefix, length to keep, then per broadcast: id, type, sender, n, n field strings
-- Returns per broadcast {'sent' | 'duplicate', entry}

local ONCE_TTL = 86400  -- seconds for which a repeated send is recognised
local stream = PREFIX .. ':events:global'
local answers = {}
local at = 3
while at <= #ARGV do
  local id, type, sender, n = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local once = PREFIX .. ':dedupe:' .. id
  local outcome, entry = 'duplicate', redis.call('HGET', once, stream)
  if not entry then
    local fields = {}
    for i = 1, n do fields[i] = ARGV[at + 3 + i] end
    outcome, entry = 'sent', redis.call('XADD', stream, 'MAXLEN', '~', ARGV[2], '*', unpack(fields))
    redis.call('HSET', once, stream, entry)
    redis.call('EXPIRE', once, ONCE_TTL)
    event('broadcast', id, type, stream, sender, '0', '', '', '')
  end
  answers[#answers + 1] = {outcome, entry}
  at = at + 4 + n
end
count_events()
return answers
