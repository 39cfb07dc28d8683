#!lua flags=allow-oom
-- Add what was heard of beacons to their running figures.
-- KEYS: prefix of all keys.  ARGV: hour (unix), day (unix), expiry of figures in s, expiry of a day's figures in s,
--       seconds within which hearings are minutes apart, MessagePack list of rows as `FleetFigures` packs them.
-- Of phones only hashes come here, and they go into HyperLogLogs.
local prefix, hour, day = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local expiry, day_expiry, apart = ARGV[3], ARGV[4], tonumber(ARGV[5])
local function count(key, hashes)
  for first = 1, #hashes, 4000 do
    redis.call('PFADD', key, unpack(hashes, first, math.min(first + 3999, #hashes)))
  end
  if #hashes > 0 then
    redis.call('EXPIRE', key, day_expiry)
  end
end
for _, row in ipairs(cmsgpack.unpack(ARGV[6])) do
  local id, place, hearings, at, battery, sides, changes, far_sum, far_n, heard, near, far = unpack(row)
  local key, place_key, today = prefix .. 'b:' .. id, prefix .. 'p:' .. place, prefix .. 'd:' .. day .. ':' .. id
  if (redis.call('HGET', key, 'place') or place) ~= place then
    redis.call('DEL', key)
  end
  if tonumber(redis.call('HGET', place_key, 'hour') or 0) < hour then
    redis.call('HSET', place_key, 'hour', hour)
    redis.call('HINCRBY', place_key, 'hours', 1)
  end
  redis.call('EXPIRE', place_key, expiry)
  local place_hours = redis.call('HGET', place_key, 'hours')
  if tonumber(redis.call('HGET', key, 'hour') or 0) < hour then
    redis.call('HSET', key, 'hour', hour, 'place', place, 'place_last', place_hours)
    redis.call('HSETNX', key, 'place_first', place_hours)
    redis.call('HINCRBY', key, 'hours', 1)
  end
  redis.call('HINCRBY', key, 'hearings', hearings)
  redis.call('HSETNX', key, 'first', at)
  if tonumber(redis.call('HGET', key, 'last') or 0) < tonumber(at) then
    redis.call('HSET', key, 'last', at)
  end
  if battery ~= '' then
    local was = tonumber(redis.call('HGET', key, 'battery') or battery)
    redis.call('HSET', key, 'battery', string.format('%.1f', was + 0.3 * (tonumber(battery) - was)))
  end
  redis.call('EXPIRE', key, expiry)
  if #sides > 0 then
    local side, side_at = unpack(redis.call('HMGET', today, 'side', 'side_at'))
    if side and side ~= sides[1] and math.abs(tonumber(sides[2]) - tonumber(side_at)) <= apart then
      changes = changes + 1
    end
    redis.call('HSET', today, 'side', sides[3], 'side_at', sides[4])
    redis.call('HINCRBY', today, 'changes', changes)
    redis.call('HINCRBY', today, 'far_sum', far_sum)
    redis.call('HINCRBY', today, 'far_n', far_n)
    redis.call('EXPIRE', today, day_expiry)
  end
  count(today .. ':heard', heard)
  count(today .. ':near', near)
  count(today .. ':far', far)
end
return 1
