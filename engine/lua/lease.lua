#!lua flags=allow-oom
-- Take a partition's lease, or renew ours.
-- KEYS: lease, fence counter.  ARGV: owner, our current lease or '', time to live in ms.
-- Answers the lease ("owner#token") when it is ours now, else ''.
local held = redis.call('GET', KEYS[1])
if held then
  if held == ARGV[2] then
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return held
  end
  return ''
end
local lease = ARGV[1] .. '#' .. string.format('%d', redis.call('INCR', KEYS[2]))
redis.call('SET', KEYS[1], lease, 'PX', ARGV[3])
return lease
