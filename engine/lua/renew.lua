#!lua flags=allow-oom
-- Let a lease run on, if it is still ours.  KEYS: lease.  ARGV: our lease, time to live in ms.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
