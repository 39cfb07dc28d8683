#!lua flags=allow-oom
-- Open or close the gate of a partition for devices; with it goes all that is kept of a device that may not be heard.
-- KEYS: gate, its edits, timers, prefix of device states.  ARGV: 1 may be heard, 0 may not, '' is nobody's; devices.
-- A device that may be heard is kept with how often the gate had closed when it was opened for it, as in 17: what was
-- appended before is not heard. A 1 alone, as older versions wrote, does not tell, and is completed; so is one that
-- tells of more closings than there were, as when the count was lost: nothing of it would be heard till there are as
-- many again.
-- What is so already is not written again, so that a rebuild of what is right adds nothing to the append-only file.
local gate, edits, due, prefix = unpack(KEYS)
local changed = false
local count = redis.call('GET', edits) or '0'
local opened = ARGV[1] == '1' and '1' .. count
for i = 2, #ARGV do
  local was = redis.call('HGET', gate, ARGV[i]) or ''
  if opened then
    local since = string.match(was, '^1(%d+)$')
    if not since or tonumber(since) > tonumber(count) then
      redis.call('HSET', gate, ARGV[i], opened)
    end
  else
    if was ~= ARGV[1] then
      changed = true
      if ARGV[1] == '' then
        redis.call('HDEL', gate, ARGV[i])
      else
        redis.call('HSET', gate, ARGV[i], ARGV[1])
      end
    end
    changed = redis.call('DEL', prefix .. ARGV[i]) + redis.call('ZREM', due, ARGV[i]) > 0 or changed
  end
end
if changed then
  redis.call('INCR', edits)
end
return 1
