-- Append one body's signals to a partition's log: only of devices whose subject allows location, and only
-- when there is room. Atomic, so a withdrawal that was answered before this runs is always seen.
-- KEYS: gate, log.  ARGV: received_at, limit of entries, then (device, encoded signals) pairs.
-- Answers the string "full", or one verdict per device: 1 appended, 0 consent says no, -1 unknown device.
local gate, log = KEYS[1], KEYS[2]
if redis.call('XLEN', log) >= tonumber(ARGV[2]) then
  return 'full'
end
local devices = {}
for i = 3, #ARGV, 2 do
  devices[#devices + 1] = ARGV[i]
end
local allowed = redis.call('HMGET', gate, unpack(devices))
local entry = {'r', ARGV[1]}
local verdicts = {}
for i, device in ipairs(devices) do
  if allowed[i] == '1' then
    entry[#entry + 1] = device
    entry[#entry + 1] = ARGV[2 * i + 2]
    verdicts[i] = 1
  elseif allowed[i] then
    verdicts[i] = 0
  else
    verdicts[i] = -1
  end
end
if #entry > 2 then
  redis.call('XADD', log, '*', unpack(entry))
end
return verdicts
