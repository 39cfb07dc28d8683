-- Commit one micro-batch of a partition: device states, events and acknowledgement, all or nothing, and
-- nothing at all when the lease is not ours any more. A device whose consent has gone meanwhile is skipped.
-- KEYS: lease, cursor, log, gate, events, timers, prefix of device states.
-- ARGV: our lease, cursor that the batch began after, id of its last entry, state expiry in ms, number of
--       states, (device, state, due in ms or '') triples, then (device, event) pairs. An empty state is none.
-- Answers 1, or 0 when the lease is lost or the batch was committed before.
local lease, cursor, log, gate, events, due, prefix = unpack(KEYS)
if redis.call('GET', lease) ~= ARGV[1] or (redis.call('GET', cursor) or '0-0') ~= ARGV[2] then
  return 0
end
local first_event = 6 + 3 * tonumber(ARGV[5])
for i = 6, first_event - 3, 3 do
  local device, state, due_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if state ~= '' and redis.call('HGET', gate, device) == '1' then
    redis.call('SET', prefix .. device, state, 'PX', ARGV[4])
  else
    due_ms = ''
    if state ~= '' then
      redis.call('DEL', prefix .. device)
    end
  end
  if due_ms == '' then
    redis.call('ZREM', due, device)
  else
    redis.call('ZADD', due, due_ms, device)
  end
end
for i = first_event, #ARGV, 2 do
  if redis.call('HGET', gate, ARGV[i]) == '1' then
    redis.call('XADD', events, '*', 'e', ARGV[i + 1])
  end
end
redis.call('SET', cursor, ARGV[3])
local ms, n = string.match(ARGV[3], '^(%d+)-(%d+)$')
redis.call('XTRIM', log, 'MINID', '=', ms .. '-' .. string.format('%d', n + 1))
return 1
