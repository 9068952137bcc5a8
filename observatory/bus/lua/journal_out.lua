-- Write down what is about to be appended to a file, or that it was: so that no crash appends it twice, and so that
-- what comes back from the file is known to be ours.
-- KEYS: state, echoes. ARGV: prefix, `intend`, what is intended, then the digest of each line;
--   or prefix, `wrote`, the last entry that stands in the file, the first time that behind which writing begins
-- Returns 1; a repeated call changes nothing.

local state, echoes = KEYS[1], KEYS[2]
if ARGV[2] == 'wrote' then
  redis.call('HSETNX', state, 'out_from', ARGV[3])
  redis.call('HSET', state, 'out', ARGV[3])
  redis.call('HDEL', state, 'intended')
  return 1
end
if redis.call('HGET', state, 'intended') == ARGV[3] then return 1 end
redis.call('HSET', state, 'intended', ARGV[3])
for at = 4, #ARGV do redis.call('HINCRBY', echoes, ARGV[at], 1) end
return 1
