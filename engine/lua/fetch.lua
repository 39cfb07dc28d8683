#!lua flags=allow-oom
-- What a worker must know before it takes signals of a partition: which devices may still be heard, which of the
-- tracks that it remembers are still kept, and the tracks that it does not remember.
-- KEYS: gate, its edits, prefix of device states.
-- ARGV: how often the gate had closed when the oldest of what is to be judged was known or appended, '' for no matter,
--       then MessagePack lists of all devices, of those whose track is remembered, and of those whose track is wanted.
-- Answers how often the gate has closed by now; a text of 1 and 0 for each of the first two lists, "" when the gate has
-- not closed since and all of the first may be heard; the states of the third; and for each 2 in the first text, which
-- is a device that may be heard again, how often the gate had closed when it was opened for it: as often as by now where
-- that was not kept.
local function all(list, command, of)
  local answers = {}
  for first = 1, #list, 4000 do
    local part = command(of, list, first, math.min(first + 3999, #list))
    for i = 1, #part do
      answers[first + i - 1] = part[i]
    end
  end
  return answers
end
local function verdicts(gate, list, first, last)
  return redis.call('HMGET', gate, unpack(list, first, last))
end
local function states(prefix, list, first, last)
  local names = {}
  for i = first, last do
    names[#names + 1] = prefix .. list[i]
  end
  return redis.call('MGET', unpack(names))
end
local heard, kept, opened = {}, {}, {}
local edits = redis.call('GET', KEYS[2]) or '0'
if edits ~= ARGV[1] then
  local least = tonumber(ARGV[1]) or math.huge
  for i, verdict in ipairs(all(cmsgpack.unpack(ARGV[2]), verdicts, KEYS[1])) do
    local since = verdict and string.match(verdict, '^1(%d*)$')
    heard[i] = since and '1' or '0'
    since = since == '' and edits or since
    if since and tonumber(since) > least then
      heard[i] = '2'
      opened[#opened + 1] = since
    end
  end
end
for i, device in ipairs(cmsgpack.unpack(ARGV[3])) do
  kept[i] = redis.call('EXISTS', KEYS[3] .. device)
end
return {edits, table.concat(heard), table.concat(kept), all(cmsgpack.unpack(ARGV[4]), states, KEYS[3]), opened}
