#!lua flags=allow-oom
-- Keep entries of a stream in the stream beside it, each once and under its own id, if the lease is still ours. They are
-- copied as the stream has them now: what an erasure took out meanwhile does not come back.
-- KEYS: lease, stream, stream beside it.
-- ARGV: our lease, limit of entries beside, 1 if they leave the stream with it or 0, then (id, why) pairs.
-- Answers for each of them 1 if it was not kept before, else 0, and ends before the first that there is no room for;
-- or, instead of a list, 0 when the lease is lost.
local lease, stream, beside = unpack(KEYS)
if redis.call('GET', lease) ~= ARGV[1] then
  return 0
end
local answers = {}
for i = 4, #ARGV, 2 do
  local id, fresh = ARGV[i], 0
  local entry = redis.call('XRANGE', stream, id, id)[1]
  if entry and #redis.call('XRANGE', beside, id, id) == 0 then
    if redis.call('XLEN', beside) >= tonumber(ARGV[2]) then
      break
    end
    local kept = redis.pcall('XADD', beside, id, 'why', ARGV[i + 1], unpack(entry[2]))
    if type(kept) == 'table' then  -- one of a later id was there before: better twice than lost
      redis.call('XADD', beside, '*', 'why', ARGV[i + 1], unpack(entry[2]))
    end
    fresh = 1
  end
  if ARGV[3] == '1' then
    redis.call('XDEL', stream, id)
  end
  answers[#answers + 1] = fresh
end
return answers
