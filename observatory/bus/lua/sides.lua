-- Change what is known of one agent's move, unless somebody has changed it meanwhile; a repeated call is an answer.
-- KEYS: the hash of moves. ARGV: prefix, agent, what was known (empty: nothing), what is to be known
-- Returns 1 if it is known now, else 0.

local now = redis.call('HGET', KEYS[1], ARGV[2]) or ''
if now == ARGV[4] then return 1 end
if now ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[4])
return 1
