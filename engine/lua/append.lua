-- Append signals to a partition's log, when every device in them may be heard and there is room. Atomic, so a
-- withdrawal that was answered before this runs is always seen.
-- The entry tells how often the gate had closed by then, so that a worker sees whether it has to look again.
-- KEYS: gate, its edits, log.  ARGV: limit of entries, MessagePack list of the devices, packed signals.
-- Answers "ok", "full", or, when nothing was appended because some may not be heard, one verdict per device:
-- 1 may be heard, 0 consent says no, -1 unknown device.
local gate, edits, log = unpack(KEYS)
if redis.call('XLEN', log) >= tonumber(ARGV[1]) then
  return 'full'
end
local devices = cmsgpack.unpack(ARGV[2])
local verdicts, refused = {}, false
for first = 1, #devices, 4000 do
  local allowed = redis.call('HMGET', gate, unpack(devices, first, math.min(first + 3999, #devices)))
  for i = 1, #allowed do
    local held = allowed[i]
    if held ~= '1' and (not held or string.byte(held) ~= 49) then  -- 49 is a 1; what follows it tells since when
      refused = true
      verdicts[first + i - 1] = held and 0 or -1
    end
  end
end
if refused then
  for i = 1, #devices do
    verdicts[i] = verdicts[i] or 1
  end
  return verdicts
end
redis.call('XADD', log, '*', 'g', redis.call('GET', edits) or '0', 's', ARGV[3])
return 'ok'
