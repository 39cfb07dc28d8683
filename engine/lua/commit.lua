-- Commit one micro-batch of a partition: device states, events and acknowledgement, all or nothing, and
-- nothing at all when the lease is not ours any more. A device whose consent has gone meanwhile is skipped.
-- KEYS: lease, cursor, log, gate, events, prefix of device states.
-- ARGV: our lease, cursor that the batch began after, id of its last entry, state expiry in ms, number of
--       states, (device, state) pairs, then (device, event) pairs.
-- Answers 1, or 0 when the lease is lost or the batch was committed before.
local lease, cursor, log, gate, events, prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
if redis.call('GET', lease) ~= ARGV[1] or (redis.call('GET', cursor) or '0-0') ~= ARGV[2] then
  return 0
end
local first_event = 6 + 2 * tonumber(ARGV[5])
for i = 6, first_event - 2, 2 do
  if redis.call('HGET', gate, ARGV[i]) == '1' then
    redis.call('SET', prefix .. ARGV[i], ARGV[i + 1], 'PX', ARGV[4])
  else
    redis.call('DEL', prefix .. ARGV[i])
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
