-- Extends locks. ARGV[3] lock ms; then id, token, id, token, … Returns the ids whose lock is lost.
local lost = {}
for at = 4, #ARGV, 2 do
  local id, token = ARGV[at], ARGV[at + 1]
  if call('GET', base .. id .. ':lock') == token then
    call('SET', base .. id .. ':lock', token, 'PX', ARGV[3])
    call('SREM', base .. 'stalled', id)
  else
    lost[#lost + 1] = id
  end
end
return lost
