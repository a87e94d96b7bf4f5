-- One step of a partition's owner. Everything is compared before anything is written, since an error undoes nothing.
-- KEYS: meta, profiles, changes, dead letters, ages of the feed, windows, then each window written to.
-- ARGV: home, nonce, channel, token, expected, next, applied through, clock, at, applied, duplicates, dead, late,
-- changes, block, dead letters kept, note, profile arguments, deletions, dead letters; then profiles (key, value)*,
-- deletions (key)*, dead letters (place, letter)*, and for each window its number, how many buckets, (bucket, ids)*.
local meta = KEYS[1]
local state = redis.call('HMGET', meta, 'home', 'token', 'commit_no', 'applied', 'log_end', 'feed_end', 'clock',
  'feed_newest', 'feed_mark', 'dead_last', 'c_applied', 'c_duplicates', 'c_dead', 'c_late')
if state[2] ~= ARGV[4] or (state[3] or '0') ~= ARGV[5] then
  return {'fenced', state[3] or '0'}
end
local home = state[1]
if home ~= ARGV[1] then
  home = settle(meta, home, ARGV[2])
end

local at = 21
local to = at + tonumber(ARGV[18]) - 1
spread('HSET', KEYS[2], at, to)
at = to + 1
to = at + tonumber(ARGV[19]) - 1
spread('HDEL', KEYS[2], at, to)
at = to + 1

local dead_last = tonumber(state[10]) or 0
for _ = 1, tonumber(ARGV[20]) do
  dead_last = math.max(dead_last, tonumber(ARGV[at]))
  redis.call('XADD', KEYS[4], text(dead_last) .. '-*', 'p', ARGV[at], 'l', ARGV[at + 1])
  at = at + 2
end
if ARGV[20] ~= '0' then
  redis.call('XTRIM', KEYS[4], 'MAXLEN', ARGV[16])
end

for window = 7, #KEYS do
  redis.call('ZADD', KEYS[6], ARGV[at], ARGV[at])
  local left = tonumber(ARGV[at + 1])
  at = at + 2
  while left > 0 do
    local count = math.min(left, 1000)
    local buckets, written = {}, {}
    for index = 1, count do
      buckets[index] = ARGV[at + 2 * index - 2]
    end
    local before = redis.call('HMGET', KEYS[window], unpack(buckets))
    for index = 1, count do
      written[2 * index - 1] = buckets[index]
      written[2 * index] = (before[index] or '') .. ARGV[at + 2 * index - 1]
    end
    redis.call('HSET', KEYS[window], unpack(written))
    at = at + 2 * count
    left = left - count
  end
end

local feed_end = state[6] or '0'
local newest = state[8] or ARGV[9]
if ARGV[14] ~= '0' then
  local stop = text(tonumber(feed_end) + tonumber(ARGV[14]))
  redis.call('XADD', KEYS[3], stop .. '-' .. ARGV[14], 'b', ARGV[15])
  newest = age(meta, KEYS[5], 'feed', state[8], state[9], tonumber(ARGV[9]), feed_end)
  feed_end = stop
end

local log_end = tonumber(state[5]) or 0
local applied = text(math.min(math.max(tonumber(state[4]) or 0, tonumber(ARGV[7])), log_end))
local function sum(index, more)
  return text((tonumber(state[index]) or 0) + tonumber(more))
end
redis.call('HSET', meta, 'commit_no', ARGV[6], 'applied', applied, 'feed_end', feed_end, 'feed_newest', newest,
  'clock', text(math.max(tonumber(state[7]) or 0, tonumber(ARGV[8]))), 'dead_last', text(dead_last),
  'c_applied', sum(11, ARGV[10]), 'c_duplicates', sum(12, ARGV[11]), 'c_dead', sum(13, ARGV[12]),
  'c_late', sum(14, ARGV[13]))
if ARGV[17] ~= '' then
  redis.call('HSET', meta, 'note', string.sub(ARGV[17], 2))
end
tell(ARGV[3], 'c' .. applied .. ':' .. feed_end)
return {'done', feed_end, home}
