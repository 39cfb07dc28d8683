#!lua flags=allow-oom
-- Open or close the gate of a partition for devices; with it goes all that is kept of a device that may not be heard.
-- KEYS: gate, its edits, timers, prefix of device states.  ARGV: 1 may be heard, 0 may not, '' is nobody's; devices.
-- What is so already is not written again, so that a rebuild of what is right adds nothing to the append-only file.
local gate, edits, due, prefix = unpack(KEYS)
local changed = false
for i = 2, #ARGV do
  local was = redis.call('HGET', gate, ARGV[i]) or ''
  if was ~= ARGV[1] then
    changed = true
    if ARGV[1] == '' then
      redis.call('HDEL', gate, ARGV[i])
    else
      redis.call('HSET', gate, ARGV[i], ARGV[1])
    end
  end
  if ARGV[1] ~= '1' then
    changed = redis.call('DEL', prefix .. ARGV[i]) + redis.call('ZREM', due, ARGV[i]) > 0 or changed
  end
end
if changed and ARGV[1] ~= '1' then
  redis.call('INCR', edits)
end
return 1
