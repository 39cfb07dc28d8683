#!lua flags=allow-oom
-- Put a new value in the place of the one that was read, and count what brought it about.
-- KEYS: value, counts.
-- ARGV: what was read (empty: nothing), the new one, milliseconds that it is kept, what to count (empty: nothing).
-- Answers 1, or 0 when another came first.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if ARGV[4] ~= '' then
  redis.call('HINCRBY', KEYS[2], ARGV[4], 1)
end
return 1
