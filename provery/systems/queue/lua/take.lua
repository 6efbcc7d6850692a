-- Takes up to `limit` jobs: moves them to active, locks them, returns what a worker needs of each.
-- One call serves many jobs, so a busy ingress pays one round trip for a whole batch.
--
-- Returns {jobs, milliseconds until the rate limit ends, time of the next delayed job in ms}.
-- A job is {id, token, bytes of data, data or false, name, opts, timestamp, delay, priority, atm, ats, stc, defa, stacktrace}.
local FIELDS = { 'name', 'opts', 'timestamp', 'delay', 'priority', 'atm', 'ats', 'stc', 'defa', 'stacktrace' }

local function limited_for(door)
  if door.max and tonumber(call('GET', base .. 'limiter') or 0) >= door.max then
    local left = call('PTTL', base .. 'limiter')
    if left == 0 then call('DEL', base .. 'limiter') end
    return math.max(left, 0)
  end
  return 0
end

local function next_id()
  local id = call('RPOPLPUSH', base .. 'wait', base .. 'active')
  while id and string.sub(id, 1, 2) == '0:' do -- a marker left by an older version
    call('LREM', base .. 'active', 1, id)
    id = call('RPOPLPUSH', base .. 'wait', base .. 'active')
  end
  if id then return id end
  local best = call('ZPOPMIN', base .. 'prioritized')
  if best[1] then
    call('LPUSH', base .. 'active', best[1])
    return best[1]
  end
  call('DEL', base .. 'pc')
  return nil
end

local function start(id, token, lock_ms, max_bytes)
  local key = base .. id
  call('SET', key .. ':lock', token, 'PX', lock_ms)
  event(base, 'active', id, 'prev', 'waiting')
  call('HSET', key, 'processedOn', now)
  call('HINCRBY', key, 'ats', 1)
  -- The length comes first: a 100 MB job is refused without ever being copied out of Redis.
  local bytes = call('HSTRLEN', key, 'data')
  local job = { id, token, bytes, bytes <= max_bytes and call('HGET', key, 'data') or false }
  for _, value in ipairs(call('HMGET', key, unpack(FIELDS))) do job[#job + 1] = value end
  return job
end

local function take(limit, holder, first, lock_ms, max_bytes)
  if limit <= 0 then return { {}, 0, 0 } end
  promote_due(base)
  local door = gate(base)
  local jobs, pause = {}, 0
  while #jobs < limit and door.room > 0 do
    pause = limited_for(door)
    if pause > 0 then break end
    local id = next_id()
    if not id then break end
    if call('EXISTS', base .. id) == 0 then
      call('LREM', base .. 'active', 1, id) -- removed while it waited: nothing is left to prove
    else
      if door.max and call('INCR', base .. 'limiter') == 1 then
        call('PEXPIRE', base .. 'limiter', math.floor(math.abs(door.duration or 1000)))
      end
      door.room = door.room - 1
      jobs[#jobs + 1] = start(id, holder .. ':' .. (first + #jobs), lock_ms, max_bytes)
    end
  end
  if call('LLEN', base .. 'wait') + call('ZCARD', base .. 'prioritized') > 0 then ring(base, door) end
  local head = call('ZRANGE', base .. 'delayed', 0, 0, 'WITHSCORES')
  return { jobs, pause, head[2] and math.floor(tonumber(head[2]) / 0x1000) or 0 }
end
