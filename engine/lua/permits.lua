#!lua flags=allow-oom
-- Draw permits from a window of time, which begins with the first draw.
-- KEYS: window.  ARGV: permits, milliseconds of the window.  Answers how many were drawn so far, and the ms left.
if redis.call('SET', KEYS[1], 0, 'PX', ARGV[2], 'NX') then
  return {redis.call('INCRBY', KEYS[1], ARGV[1]), tonumber(ARGV[2])}
end
return {redis.call('INCRBY', KEYS[1], ARGV[1]), redis.call('PTTL', KEYS[1])}
