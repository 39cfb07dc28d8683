-- Append signals to the logs of some partitions; to each when every device in them may be heard and there is room, or
-- nothing. Atomic, so a withdrawal that was answered before this runs is always seen.
-- The entry tells how often the gate had closed by then, so that a worker sees whether it has to look again.
-- KEYS, three of each partition: gate, its edits, log.
-- ARGV, three of each: limit of entries, MessagePack list of the devices, packed signals.
-- Answers for each "ok", "full", or, when nothing was appended because some may not be heard, one verdict per device:
-- 1 may be heard, 0 consent says no, -1 unknown device; or what went wrong there, which stops no other.
local function append(gate, edits, log, limit, names, signals)
  if redis.call('XLEN', log) >= tonumber(limit) then
    return 'full'
  end
  local devices = cmsgpack.unpack(names)
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
  redis.call('XADD', log, '*', 'g', redis.call('GET', edits) or '0', 's', signals)
  return 'ok'
end
local answers = {}
for i = 1, #KEYS, 3 do
  local done, answer = pcall(append, KEYS[i], KEYS[i + 1], KEYS[i + 2], ARGV[i], ARGV[i + 1], ARGV[i + 2])
  answers[#answers + 1] = done and answer or type(answer) == 'table' and answer or {err = tostring(answer)}
end
return answers
