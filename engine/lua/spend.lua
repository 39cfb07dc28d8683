#!lua flags=allow-oom
-- Count a message against the money of the day and the texts to one prefix, unless one of the two is used up.
-- KEYS: spent today, texts to the prefix in this window.
-- ARGV: cost, money a day, texts to a prefix a window, ms the day is kept, ms the window is kept, 1, or -1 to give back.
-- Answers what is used up: 'spend', 'prefix', or '' when the message is counted, or not any more.
local spent = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[6]) < 0 then
  if spent > 0 then
    redis.call('INCRBYFLOAT', KEYS[1], tostring(-math.min(spent, tonumber(ARGV[1]))))
  end
  if tonumber(redis.call('GET', KEYS[2]) or '0') > 0 then
    redis.call('DECR', KEYS[2])
  end
  return ''
end
if spent + tonumber(ARGV[1]) > tonumber(ARGV[2]) + 1e-9 then
  return 'spend'
end
if tonumber(redis.call('GET', KEYS[2]) or '0') >= tonumber(ARGV[3]) then
  return 'prefix'
end
redis.call('INCRBYFLOAT', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('INCR', KEYS[2])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return ''
