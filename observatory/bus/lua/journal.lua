-- Move lines of files into a stream, together with how far each file was read: all of it or nothing.
-- KEYS: stream, state, lines kept aside, echoes. ARGV: prefix, name, who, sources, then per source: id, its state
--   before (empty: never read), its state behind; then per line either `+`, id, type, role, payload, content type, time,
--   digest; or `-`, source, file, line number, why, the line as it stands
-- A line whose digest is among the echoes was written by ourselves: it is counted there and goes nowhere.
-- Returns {'done' | 'repeated'}, {'moved', source, state} if somebody else has read on, {'elsewhere', stream} if the
--   name belongs to another stream, or {'broken', why}

local stream, state, aside, echoes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local name, who, sources = ARGV[2], ARGV[3], tonumber(ARGV[4])

local home = redis.pcall('HGET', state, 'stream')
if type(home) == 'table' then return {'broken', home.err} end
if home and home ~= stream then return {'elsewhere', home} end
for _, key in ipairs({stream, aside}) do
  local length = redis.pcall('XLEN', key)
  if type(length) == 'table' then return {'broken', length.err} end
end

local repeated = 0
for at = 5, 4 + 3 * sources, 3 do
  local now = redis.call('HGET', state, 'source:' .. ARGV[at]) or ''
  if now == ARGV[at + 2] then
    repeated = repeated + 1
  elseif now ~= ARGV[at + 1] then
    return {'moved', ARGV[at], now}
  end
end
if repeated > 0 then return {repeated == sources and 'repeated' or 'moved', '', ''} end

local has_echoes = redis.call('EXISTS', echoes) == 1
local function is_echo(digest)
  local count = has_echoes and tonumber(redis.call('HGET', echoes, digest) or 0) or 0
  if count == 0 then return false end
  if count == 1 then redis.call('HDEL', echoes, digest) else redis.call('HINCRBY', echoes, digest, -1) end
  return true
end

local moved = {imported = 0, aside = 0, echoed = 0}
local at = 5 + 3 * sources
while at <= #ARGV do
  if ARGV[at] == '-' then
    redis.call('XADD', aside, '*', 'source', ARGV[at + 1], 'file', ARGV[at + 2], 'line', ARGV[at + 3],
      'why', ARGV[at + 4], 'raw', ARGV[at + 5])
    moved.aside = moved.aside + 1
    at = at + 6
  else
    if is_echo(ARGV[at + 7]) then
      moved.echoed = moved.echoed + 1
    else
      redis.call('XADD', stream, '*', 'id', ARGV[at + 1], 'type', ARGV[at + 2], 'from', ARGV[at + 3],
        'payload', ARGV[at + 4], 'content_type', ARGV[at + 5], 'created_at', ARGV[at + 6], 'via', name, 'v', '1')
      moved.imported = moved.imported + 1
    end
    at = at + 8
  end
end
for one = 5, 4 + 3 * sources, 3 do redis.call('HSET', state, 'source:' .. ARGV[one], ARGV[one + 2]) end
redis.call('HSET', state, 'stream', stream)
for kind, count in pairs(moved) do
  if count > 0 then redis.call('HINCRBY', state, kind, count) end
end
if moved.imported > 0 then
  event('imported', '', '', stream, who, '0', '', '', name .. ': ' .. moved.imported .. ' lines')
end
count_events()
return {'done'}
