-- One step of a partition's owner. Everything is compared before anything of it is written, since an error undoes nothing.
-- KEYS: meta, profiles, changes, dead letters, windows, then each window written to.
-- ARGV: life, nonce, channel, token, expected, next, applied through, clock, applied, duplicates, dead, late, changes,
-- block, dead letters kept, note, profile arguments, deletions, dead letters; then profiles (key, value)*,
-- deletions (key)*, dead letters (place, letter)*, and for each window its number and ids: two bytes of the bucket and
-- seven of the id each, those of one bucket together. They are one argument, since each costs more than what is in it.
local meta = KEYS[1]
local state = redis.call('HMGET', meta, 'home', 'token', 'commit_no', 'applied', 'log_end', 'feed_end', 'clock',
  'dead_last', 'c_applied', 'c_duplicates', 'c_dead', 'c_late')
local home, token = state[1], state[2]
if home ~= ARGV[1] then
  home = settle(meta, ARGV[2])
  token = redis.call('HGET', meta, 'token')
end
if token ~= ARGV[4] or (state[3] or '0') ~= ARGV[5] then
  return {home, 'fenced', state[3] or '0'}
end

local at = 20
local to = at + tonumber(ARGV[17]) - 1
spread('HSET', KEYS[2], at, to)
at = to + 1
to = at + tonumber(ARGV[18]) - 1
spread('HDEL', KEYS[2], at, to)
at = to + 1

local dead_last = tonumber(state[8]) or 0
for _ = 1, tonumber(ARGV[19]) do
  -- A place that was lost and given again may be below one that is kept; ids of a stream only grow.
  dead_last = math.max(dead_last, tonumber(ARGV[at]))
  redis.call('XADD', KEYS[4], text(dead_last) .. '-*', 'p', ARGV[at], 'l', ARGV[at + 1])
  at = at + 2
end
if ARGV[19] ~= '0' then
  redis.call('XTRIM', KEYS[4], 'MAXLEN', ARGV[15])
end

for window = 6, #KEYS do
  redis.call('ZADD', KEYS[5], ARGV[at], ARGV[at])
  local ids = ARGV[at + 1]
  at = at + 2
  for first = 1, #ids, 9000 do
    local buckets, more, written, count = {}, {}, {}, 0
    for from = first, math.min(first + 8999, #ids), 9 do
      local bucket, id = string.sub(ids, from, from + 1), string.sub(ids, from + 2, from + 8)
      if buckets[count] == bucket then
        more[count] = more[count] .. id
      else
        count = count + 1
        buckets[count], more[count] = bucket, id
      end
    end
    local before = redis.call('HMGET', KEYS[window], unpack(buckets))
    for index = 1, count do
      written[2 * index - 1] = buckets[index]
      written[2 * index] = (before[index] or '') .. more[index]
    end
    redis.call('HSET', KEYS[window], unpack(written))
  end
end

local feed_end = state[6] or '0'
if ARGV[13] ~= '0' then
  feed_end = text(tonumber(feed_end) + tonumber(ARGV[13]))
  redis.call('XADD', KEYS[3], feed_end .. '-' .. ARGV[13], 'b', ARGV[14])
end

local applied = text(math.min(math.max(tonumber(state[4]) or 0, tonumber(ARGV[7])), tonumber(state[5]) or 0))
local function sum(index, more)
  return text((tonumber(state[index]) or 0) + tonumber(more))
end
redis.call('HSET', meta, 'commit_no', ARGV[6], 'applied', applied, 'feed_end', feed_end,
  'clock', text(math.max(tonumber(state[7]) or 0, tonumber(ARGV[8]))), 'dead_last', text(dead_last),
  'c_applied', sum(9, ARGV[9]), 'c_duplicates', sum(10, ARGV[10]), 'c_dead', sum(11, ARGV[11]),
  'c_late', sum(12, ARGV[12]))
if ARGV[16] ~= '' then
  redis.call('HSET', meta, 'note', string.sub(ARGV[16], 2))
end
tell(ARGV[3], 'commit')
return {home, 'done', feed_end}
