-- Shared by every script: names of BullMQ's keys, and the few moves that all of them make.
-- The wire format is that of bullmq 5.69.1; the vectors folder holds recorded dumps of it.
--
-- KEYS[1] the queue's meta hash (routes the call; every other key is derived from the prefix)
-- ARGV[1] key prefix with its colon, such as "bull:prove:"
-- ARGV[2] now, milliseconds
local call = redis.call
local base = ARGV[1]
local now = tonumber(ARGV[2])

-- Where waiting jobs of a queue stand, and how many more of them may be active.
local function gate(q)
  local meta = call('HMGET', q .. 'meta', 'paused', 'concurrency', 'max', 'duration')
  local room = math.huge
  if meta[1] then
    room = 0
  elseif meta[2] then
    room = tonumber(meta[2]) - call('LLEN', q .. 'active')
  end
  return {
    list = q .. (meta[1] and 'paused' or 'wait'),
    room = room,
    max = tonumber(meta[3] or nil),
    duration = tonumber(meta[4] or nil),
  }
end

-- Wakes a worker that blocks on the marker.
local function ring(q, door)
  if door.room > 0 then call('ZADD', q .. 'marker', 0, '0') end
end

local function ring_at_next_delayed(q)
  local head = call('ZRANGE', q .. 'delayed', 0, 0, 'WITHSCORES')
  if head[2] then call('ZADD', q .. 'marker', tonumber(head[2]) / 0x1000, '1') end
end

local function max_events(q)
  local kept = call('HGET', q .. 'meta', 'opts.maxLenEvents')
  if kept then return kept end
  call('HSET', q .. 'meta', 'opts.maxLenEvents', 10000)
  return 10000
end

local function event(q, name, id, ...)
  call('XADD', q .. 'events', '*', 'event', name, 'jobId', id, ...)
end

local function trim_events(q)
  call('XTRIM', q .. 'events', 'MAXLEN', '~', max_events(q))
end

-- Queues a job by its priority. `push` is RPUSH for "next in line", LPUSH for "behind the others".
local function enqueue(q, id, priority, push)
  local door = gate(q)
  if priority > 0 then
    local turn = call('INCR', q .. 'pc') % 0x100000000
    call('ZADD', q .. 'prioritized', priority * 0x100000000 + turn, id)
  else
    call(push, door.list, id)
  end
  ring(q, door)
end

-- Puts a job to sleep until `due` (ms). Jobs due in one millisecond keep their order in the low 12 bits.
local function delay_until(q, id, due)
  local low = due * 0x1000
  local high = low + 0xfff
  local last = call('ZREVRANGEBYSCORE', q .. 'delayed', high, low, 'WITHSCORES', 'LIMIT', 0, 1)
  local score = low
  if last[2] then score = math.min(tonumber(last[2]) + 1, high) end
  call('ZADD', q .. 'delayed', score, id)
  call('XADD', q .. 'events', 'MAXLEN', '~', max_events(q), '*', 'event', 'delayed', 'jobId', id, 'delay', due)
  ring_at_next_delayed(q)
end

-- Wakes the delayed jobs that are due.
local function promote_due(q)
  local due = call('ZRANGEBYSCORE', q .. 'delayed', 0, (now + 1) * 0x1000 - 1, 'LIMIT', 0, 1000)
  for _, id in ipairs(due) do
    call('ZREM', q .. 'delayed', id)
    call('HSET', q .. id, 'delay', 0)
    enqueue(q, id, tonumber(call('HGET', q .. id, 'priority') or 0) or 0, 'LPUSH')
    event(q, 'waiting', id, 'prev', 'delayed')
  end
end

-- Frees a job's lock if `token` holds it: 0, -2 (no lock) or -6 (somebody else's).
local function unlock(id, token)
  local held = call('GET', base .. id .. ':lock')
  if held == token then
    call('DEL', base .. id .. ':lock')
    call('SREM', base .. 'stalled', id)
    return 0
  end
  return held and -6 or -2
end

local function delete_job(id)
  local job = base .. id
  call('DEL', job, job .. ':logs', job .. ':dependencies', job .. ':processed', job .. ':failed', job .. ':unsuccessful')
end
