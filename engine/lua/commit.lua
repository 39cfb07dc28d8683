#!lua flags=allow-oom
-- Commit one micro-batch of each of some partitions: of each its device states, events and acknowledgement, all or
-- nothing, and nothing at all when the lease is not ours any more. A device whose consent has gone meanwhile is
-- skipped, even if it has come back since: what was known of it before has been deleted, and is not to be brought
-- back. One of which it was not kept when the gate was opened for it may be such a one.
-- KEYS, nine of each partition: lease, cursor, done, log, gate, its edits, events, timers, prefix of device states.
-- ARGV: a MessagePack list that has a list of texts for each partition: our lease, cursor that the batch began after, id
--       of its last entry, number of entries, how often the gate had closed when it was last known that all of its
--       devices may be heard, entries kept, state expiry in ms, milliseconds for which processed entries are kept,
--       number of states, (device, state, due in ms) threes, then (device, event) pairs.
--       An empty state is none; '-' is no timer, and an empty one leaves it as it is.
--       One long argument is read by the server as fast as it comes, many short ones are not.
-- Answers for each partition the devices that were skipped, 0 when the lease is lost, 1 when the cursor is elsewhere, as
--         when the batch was committed before, or what went wrong there, which stops no other.
local function commit(keys, part)
  local lease, cursor, done, log, gate, edits, events, due, prefix = unpack(keys)
  local last, entries, kept, expiry_ms, kept_ms = part[3], part[4], tonumber(part[6]), part[7], tonumber(part[8])
  if redis.call('GET', lease) ~= part[1] then
    return 0
  end
  if (redis.call('GET', cursor) or '0-0') ~= part[2] then
    return 1
  end
  local closed = (redis.call('GET', edits) or '0') ~= part[5]
  local first_event = 10 + 3 * tonumber(part[9])
  local skipped, skip = {}, {}
  for i = 10, first_event - 3, 3 do
    local device, state, due_ms = part[i], part[i + 1], part[i + 2]
    local key = prefix .. device
    if closed then
      local opened = string.match(redis.call('HGET', gate, device) or '', '^1(%d+)$')
      if not opened or tonumber(opened) > tonumber(part[5]) then
        skip[device] = true
        skipped[#skipped + 1] = device
        state, due_ms = '', '-'
      end
    end
    if state ~= '' then
      redis.call('SET', key, state, 'PX', expiry_ms)
    else
      redis.call('DEL', key)
    end
    if due_ms == '-' then
      redis.call('ZREM', due, device)
    elseif due_ms ~= '' then
      redis.call('ZADD', due, due_ms, device)
    end
  end
  for i = first_event, #part, 2 do
    if not skip[part[i]] then
      redis.call('XADD', events, '*', 'e', part[i + 1])
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
end
local answers = {}
for place, part in ipairs(cmsgpack.unpack(ARGV[1])) do
  local done, answer = pcall(commit, {unpack(KEYS, 9 * place - 8, 9 * place)}, part)
  answers[place] = (done or type(answer) == 'table') and answer or {err = tostring(answer)}
end
return answers
