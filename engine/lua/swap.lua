#!lua flags=allow-oom
-- Put the rewritten copy of a stream in its place, with what was appended meanwhile. Nothing happens when the lock is
-- not ours any more, or the copy is not whole.
-- KEYS: stream, copy, lock.  ARGV: our lock, id of the last entry that was looked at, number of entries in the copy.
-- Answers 1, or 0 when it has to be done again.
local stream, copy, lock = unpack(KEYS)
if redis.call('GET', lock) ~= ARGV[1] then
  return 0
end
redis.call('DEL', lock)
if redis.call('EXISTS', stream) == 0 then
  redis.call('DEL', copy)
  return 1
end
if redis.call('XLEN', copy) ~= tonumber(ARGV[3]) then
  redis.call('DEL', copy)
  return 0
end
for _, entry in ipairs(redis.call('XRANGE', stream, '(' .. ARGV[2], '+')) do
  redis.call('XADD', copy, entry[1], unpack(entry[2]))
end
local info, flat = {}, redis.call('XINFO', 'STREAM', stream)
for i = 1, #flat, 2 do
  info[flat[i]] = flat[i + 1]
end
if redis.call('EXISTS', copy) == 0 then
  redis.call('XGROUP', 'CREATE', copy, 'empty', '0', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', copy, 'empty')
end
redis.call('XSETID', copy, info['last-generated-id'], 'ENTRIESADDED', info['entries-added'],
  'MAXDELETEDID', info['max-deleted-entry-id'])
redis.call('RENAME', copy, stream)
return 1
