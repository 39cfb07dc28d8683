#!lua flags=allow-oom
-- Grant calls of a provider: as many as both token buckets hold, and as the day has left, unless there is a pause.
-- KEYS: bucket of the channel, bucket of the sender, calls of the day, pause (unix ms).
-- ARGV: now (unix ms), calls wanted, per second of the channel, per second of the sender, calls a day, ms the day is kept.
-- Answers the calls granted, and what was short.
-- A negative number wanted gives calls back.
local now, wanted, day_limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[5])
local pause = tonumber(redis.call('GET', KEYS[4]) or '0')
if wanted > 0 and pause > now then
  return {0, 'pause'}
end
local granted, short = wanted, ''
local tokens = {}
for i = 1, 2 do
  local rate = tonumber(ARGV[2 + i])
  local most = math.max(rate, 1)
  local kept = redis.call('HMGET', KEYS[i], 'tokens', 'at')
  local held, at = tonumber(kept[1] or most), tonumber(kept[2] or now)
  held = math.min(most, held + math.max(now - at, 0) * rate / 1000)
  tokens[i] = {held, math.max(at, now), most}
  if math.floor(held) < granted then
    granted = math.floor(held)
    short = 'rate'
  end
end
local left = day_limit - tonumber(redis.call('GET', KEYS[3]) or '0')
if left < granted then
  granted, short = math.max(left, 0), 'day'
end
if granted ~= 0 then
  for i = 1, 2 do
    local held = math.min(tokens[i][1] - granted, tokens[i][3])
    redis.call('HSET', KEYS[i], 'tokens', tostring(held), 'at', tokens[i][2])
    redis.call('PEXPIRE', KEYS[i], 3600000)
  end
  redis.call('INCRBY', KEYS[3], granted)
  redis.call('PEXPIRE', KEYS[3], ARGV[6])
end
return {granted, short}
