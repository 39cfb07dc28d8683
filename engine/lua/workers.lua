#!lua flags=allow-oom
-- Sign in to the table of workers, and strike out those that have not done so for a while.
-- KEYS: table.  ARGV: owner, milliseconds.  Answers the names of all that are left.
local seconds, micros = unpack(redis.call('TIME'))
local now = tonumber(seconds) * 1000 + math.floor(tonumber(micros) / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
return redis.call('ZRANGE', KEYS[1], 0, -1)
