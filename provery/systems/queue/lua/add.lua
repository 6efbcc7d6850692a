-- Adds a job as npm's queue.add(name, data, {removeOnComplete, removeOnFail}) does. Returns its id.
-- ARGV[3] name, ARGV[4] data, ARGV[5] opts as stored JSON
call('HSETNX', base .. 'meta', 'opts.maxLenEvents', 10000)
call('HSETNX', base .. 'meta', 'version', 'bullmq:5.69.1')
local id = call('INCR', base .. 'id') .. ''
call('HSET', base .. id, 'name', ARGV[3], 'data', ARGV[4], 'opts', ARGV[5], 'timestamp', now, 'delay', 0, 'priority', 0)
event(base, 'added', id, 'name', ARGV[3])
enqueue(base, id, 0, 'LPUSH')
call('XADD', base .. 'events', 'MAXLEN', '~', max_events(base), '*', 'event', 'waiting', 'jobId', id)
return id
