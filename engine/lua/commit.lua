#!lua flags=allow-oom
-- Commit one micro-batch of a partition: device states, events and acknowledgement, all or nothing, and
-- nothing at all when the lease is not ours any more. A device whose consent has gone meanwhile is skipped, even if it
-- has come back since: what was known of it before has been deleted, and is not to be brought back.
-- KEYS: lease, cursor, done, log, gate, its edits, events, timers, prefix of device states.
-- ARGV: our lease, cursor that the batch began after, id of its last entry, number of entries, how often the gate had
--       closed when it was last known that all of its devices may be heard, entries kept, state expiry in ms,
--       milliseconds for which processed entries are kept, number of states, (device, 1 if it had a state before,
--       state, due in ms or '') fours, then (device, event) pairs. An empty state is none.
-- Answers the devices that were skipped, or 0 when the lease is lost or the batch was committed before.
local lease, cursor, done, log, gate, edits, events, due, prefix = unpack(KEYS)
local last, entries, kept, expiry_ms, kept_ms = ARGV[3], ARGV[4], tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
if redis.call('GET', lease) ~= ARGV[1] or (redis.call('GET', cursor) or '0-0') ~= ARGV[2] then
  return 0
end
local closed = (redis.call('GET', edits) or '0') ~= ARGV[5]
local first_event = 10 + 4 * tonumber(ARGV[9])
local skipped, skip = {}, {}
for i = 10, first_event - 4, 4 do
  local device, had, state, due_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local key = prefix .. device
  if closed and (redis.call('HGET', gate, device) ~= '1' or (had == '1' and redis.call('EXISTS', key) == 0)) then
    skip[device] = true
    skipped[#skipped + 1] = device
    state, due_ms = '', ''
  end
  if state ~= '' then
    redis.call('SET', key, state, 'PX', expiry_ms)
  else
    due_ms = ''
    redis.call('DEL', key)
  end
  if due_ms == '' then
    redis.call('ZREM', due, device)
  else
    redis.call('ZADD', due, due_ms, device)
  end
end
for i = first_event, #ARGV, 2 do
  if not skip[ARGV[i]] then
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
return skipped
