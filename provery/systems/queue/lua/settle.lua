-- Ends jobs (completed, failed, retried, delayed or given back) and takes the next ones in the same call.
--
-- ARGV[3] endings as JSON; ARGV[4..8] limit, holder, first token number, lock ms, largest data in bytes for take
-- Returns {one code per ending, what take returns}:
-- 0 done, -1 no such job, -2 no lock, -3 not active, -4 pending children, -6 another holder, -9 failed children.

local function parent_ready(parent)
  local q, id = parent.queueKey .. ':', parent.id
  if call('SCARD', q .. id .. ':dependencies') > 0 then return end
  if call('EXISTS', q .. id) == 0 or call('ZREM', q .. 'waiting-children', id) == 0 then return end
  local asked = call('HMGET', q .. id, 'priority', 'delay')
  local delay = tonumber(asked[2] or 0) or 0
  if delay > 0 then
    delay_until(q, id, now + delay)
  else
    enqueue(q, id, tonumber(asked[1] or 0) or 0, 'RPUSH')
    event(q, 'waiting', id, 'prev', 'waiting-children')
  end
end

-- A child that fails under failParentOnFailure takes its parent with it, through the parent's own worker.
local function fail_parent(parent, child)
  local q, id = parent.queueKey .. ':', parent.id
  if call('EXISTS', q .. id) == 0 or call('ZSCORE', q .. 'failed', id) then return end
  call('HSET', q .. id, 'defa', 'child ' .. child .. ' failed')
  local slept = call('ZREM', q .. 'delayed', id)
  if slept == 1 then call('HSET', q .. id, 'delay', 0) end
  if slept + call('ZREM', q .. 'waiting-children', id) > 0 then
    enqueue(q, id, tonumber(call('HGET', q .. id, 'priority') or 0) or 0, 'RPUSH')
    event(q, 'waiting', id, 'prev', 'waiting-children')
  end
end

local function tell_parent(key, parent, kind, value)
  local family = parent.queueKey .. ':' .. parent.id
  if kind == 'failed' and not (parent.fpof or parent.cpof or parent.idof or parent.rdof) then return end
  if call('SREM', family .. ':dependencies', key) == 0 then return end
  if kind == 'completed' then
    call('HSET', family .. ':processed', key, value)
    parent_ready(parent)
  elseif parent.fpof then
    call('ZADD', family .. ':unsuccessful', now, key)
    fail_parent(parent, key)
  elseif parent.cpof then
    call('HSET', family .. ':failed', key, value)
    if call('ZSCORE', parent.queueKey .. ':waiting-children', parent.id) then
      call('ZREM', parent.queueKey .. ':waiting-children', parent.id)
      enqueue(parent.queueKey .. ':', parent.id, 0, 'RPUSH')
      event(parent.queueKey .. ':', 'waiting', parent.id, 'prev', 'waiting-children')
    end
  else
    if parent.idof then call('HSET', family .. ':failed', key, value) end
    parent_ready(parent)
  end
end

local function forget_deduplication(id)
  local name = call('HGET', base .. id, 'deid')
  if not name then return end
  local window = call('PTTL', base .. 'de:' .. name)
  if window == 0 or (window == -1 and call('GET', base .. 'de:' .. name) == id) then
    call('DEL', base .. 'de:' .. name)
  end
end

-- Old finished jobs go, as the job's removeOnComplete / removeOnFail asks.
local function trim_finished(set, keep)
  if keep.age then
    local oldest = now - keep.age * 1000
    for _, id in ipairs(call('ZREVRANGEBYSCORE', set, oldest, '-inf', 'LIMIT', 0, keep.limit or 1000)) do
      delete_job(id)
      call('ZREM', set, id)
    end
  end
  if keep.count and keep.count > 0 then
    for _, id in ipairs(call('ZREVRANGE', set, keep.count, -1)) do delete_job(id) end
    call('ZREMRANGEBYRANK', set, 0, -(keep.count + 1))
  end
end

local function finish(job, key)
  local field = job.kind == 'completed' and 'returnvalue' or 'failedReason'
  local raw = call('HGET', key, 'parent')
  local parent = raw and cjson.decode(raw)
  forget_deduplication(job.id)
  if parent then tell_parent(key, parent, job.kind, job.value) end
  local made = call('HINCRBY', key, 'atm', 1)
  if job.keep.count == 0 then
    delete_job(job.id)
    if parent and call('SREM', parent.queueKey .. ':' .. parent.id .. ':dependencies', key) == 1 then
      parent_ready(parent)
    end
  else
    call('ZADD', base .. job.kind, now, job.id)
    call('HSET', key, field, job.value, 'finishedOn', now)
    if job.kind == 'failed' then call('HDEL', key, 'defa') end
    trim_finished(base .. job.kind, job.keep)
  end
  event(base, job.kind, job.id, field, job.value, 'prev', 'active')
  if job.kind == 'failed' and made >= job.attempts then
    event(base, 'retries-exhausted', job.id, 'attemptsMade', made)
  end
end

local function settle(job)
  local key = base .. job.id
  if call('EXISTS', key) == 0 then return -1 end
  if job.kind == 'completed' then
    if call('SCARD', key .. ':dependencies') > 0 then return -4 end
    if call('ZCARD', key .. ':unsuccessful') > 0 then return -9 end
  end
  local refused = unlock(job.id, job.token)
  if refused < 0 then return refused end
  if job.stacktrace then call('HSET', key, 'failedReason', job.value, 'stacktrace', job.stacktrace) end
  if call('LREM', base .. 'active', -1, job.id) == 0 then return -3 end
  local priority = tonumber(call('HGET', key, 'priority') or 0) or 0
  if job.kind == 'delayed' then
    call('HINCRBY', key, 'atm', 1)
    call('HSET', key, 'delay', job.delay)
    delay_until(base, job.id, now + job.delay)
  elseif job.kind == 'retried' then
    call('HINCRBY', key, 'atm', 1)
    enqueue(base, job.id, priority, job.lifo and 'RPUSH' or 'LPUSH')
    event(base, 'waiting', job.id, 'prev', 'active')
  elseif job.kind == 'released' then
    if priority > 0 then
      call('ZADD', base .. 'prioritized', priority * 0x100000000, job.id)
      ring(base, gate(base))
    else
      enqueue(base, job.id, 0, 'RPUSH')
    end
    event(base, 'waiting', job.id, 'prev', 'active')
  else
    finish(job, key)
  end
  return 0
end

trim_events(base)
local codes, finished = {}, false
for at, job in ipairs(cjson.decode(ARGV[3])) do
  codes[at] = settle(job)
  finished = finished or (codes[at] == 0 and (job.kind == 'completed' or job.kind == 'failed'))
end
local taken = take(tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]))
if finished and #taken[1] == 0 and call('LLEN', base .. 'wait') == 0 and call('LLEN', base .. 'active') == 0
    and call('ZCARD', base .. 'prioritized') == 0 then
  call('XADD', base .. 'events', '*', 'event', 'drained')
end
return { codes, taken }
