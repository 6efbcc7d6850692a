-- Queues again the active jobs whose holder died, at most once per interval over all workers of the queue.
-- ARGV[3] interval ms. Returns the ids.
--
-- A job is never failed for having stalled often, unlike in a Node worker: its unit's workflow outlives the ingress,
-- so taking the job again attaches to work that goes on. `stc` is counted all the same.
if not call('SET', base .. 'stalled-check', now, 'PX', ARGV[3], 'NX') then return {} end
trim_events(base)
local back = {}
local suspects = call('SMEMBERS', base .. 'stalled')
call('DEL', base .. 'stalled')
for _, id in ipairs(suspects) do
  if call('EXISTS', base .. id .. ':lock') == 0 and call('LREM', base .. 'active', 1, id) > 0 then
    if call('EXISTS', base .. id) == 1 then
      call('HINCRBY', base .. id, 'stc', 1)
      enqueue(base, id, 0, 'RPUSH') -- next in line whatever its priority, as BullMQ does
      event(base, 'waiting', id, 'prev', 'active')
      event(base, 'stalled', id)
      back[#back + 1] = id
    end
  end
end
for _, id in ipairs(call('LRANGE', base .. 'active', 0, -1)) do call('SADD', base .. 'stalled', id) end
return back
