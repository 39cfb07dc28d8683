-- Put entries from beside a stream back at its end, as they were, while there is room.
-- KEYS: stream beside it, stream.  ARGV: limit of entries of the stream, ids.  Answers how many went back.
local beside, stream = unpack(KEYS)
local back = 0
for i = 2, #ARGV do
  local entry = redis.call('XRANGE', beside, ARGV[i], ARGV[i])[1]
  if redis.call('XLEN', stream) >= tonumber(ARGV[1]) then
    break
  end
  if entry then
    redis.call('XADD', stream, '*', unpack(entry[2], 3))  -- without why
    redis.call('XDEL', beside, ARGV[i])
    back = back + 1
  end
end
return back
