#!lua flags=no-writes
-- The facts of one day of the log behind an entry, and the time: what comes later has no earlier id.
-- ARGV: prefix, day, entry to go on behind, most entries. Returns {now ms, {{entry, fields} …}}.

return {NOW_TEXT, redis.call('XRANGE', PREFIX .. ':events:' .. ARGV[2], '(' .. ARGV[3], '+', 'COUNT', ARGV[4])}
