#!lua flags=allow-oom
-- Pass a bell on: who was called has its hands full, so another sleeper of the same queues is.
-- ARGV: prefix, then a lane of each queue

for at = 2, #ARGV do appear(ARGV[at]) end
ring()
return 'OK'
