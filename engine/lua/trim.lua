#!lua flags=allow-oom
-- Drop the processed entries of a partition's log that are older than is useful, by this server's clock.
-- KEYS: log.  ARGV: cursor, milliseconds for which processed entries are kept.
local oldest = tonumber(redis.call('TIME')[1]) * 1000 - tonumber(ARGV[2])
local least = math.min(tonumber(string.match(ARGV[1], '^(%d+)')), oldest)
return redis.call('XTRIM', KEYS[1], 'MINID', '=', string.format('%d-0', math.max(least, 0)))
