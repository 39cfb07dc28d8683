#!lua flags=allow-oom
-- Commit one micro-batch of a partition: device states, events and acknowledgement, all or nothing, and
-- nothing at all when the lease is not ours any more. A device whose consent has gone meanwhile is skipped.
-- KEYS: lease, cursor, done, log, gate, events, timers, prefix of device states.
-- ARGV: our lease, cursor that the batch began after, id of its last entry, number of entries, entries kept, state
--       expiry in ms, milliseconds for which processed entries are kept, number of states, (device, state, due in ms
--       or '') triples, then (device, event) pairs. An empty state is none.
-- Answers 1, or 0 when the lease is lost or the batch was committed before.
local lease, cursor, done, log, gate, events, due, prefix = unpack(KEYS)
local last, entries, kept, expiry_ms, kept_ms = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
if redis.call('GET', lease) ~= ARGV[1] or (redis.call('GET', cursor) or '0-0') ~= ARGV[2] then
  return 0
end
local first_event = 9 + 3 * tonumber(ARGV[8])
for i = 9, first_event - 3, 3 do
  local device, state, due_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if state ~= '' and redis.call('HGET', gate, device) == '1' then
    redis.call('SET', prefix .. device, state, 'PX', expiry_ms)
  else
    due_ms = ''
    redis.call('DEL', prefix .. device)
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
if entries ~= '0' then
  redis.call('SET', cursor, last)
  redis.call('INCRBY', done, entries)
  local ms, n = string.match(last, '^(%d+)-(%d+)$')
  local oldest = ms .. '-' .. string.format('%d', n + 1)
  if redis.call('XLEN', log) < kept then
    oldest = string.format('%d-0', tonumber(ms) - kept_ms)
  end
  redis.call('XTRIM', log, 'MINID', '=', oldest)
end
return 1
