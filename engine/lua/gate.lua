#!lua flags=allow-oom
-- Open or close the gate of a partition for devices; with it goes all that is kept of a device that may not be heard.
-- KEYS: gate, its edits, timers, prefix of device states.  ARGV: 1 may be heard, 0 may not, '' is nobody's; devices.
local gate, edits, due, prefix = unpack(KEYS)
for i = 2, #ARGV do
  if ARGV[1] == '' then
    redis.call('HDEL', gate, ARGV[i])
  else
    redis.call('HSET', gate, ARGV[i], ARGV[1])
  end
  if ARGV[1] ~= '1' then
    redis.call('DEL', prefix .. ARGV[i])
    redis.call('ZREM', due, ARGV[i])
  end
end
if ARGV[1] ~= '1' then
  redis.call('INCR', edits)
end
return 1
