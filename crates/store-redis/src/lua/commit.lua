-- Commit of a partition's owner. Everything is compared before the first write, since an error does not undo earlier writes.
-- KEYS: meta, profiles, changes, dead letters, windows, tombstones, then each set of ids written to.
-- ARGV: the server's incarnation, then the named arguments of `commit_arguments.rs`, which are locals here; then, from FIRST_UNNAMED on,
-- profiles (key, value)*, deletions (key)*, tombstones (key, value)*, expired tombstones (key)*, dead letters (position, letter)*,
-- and for each set of ids the number of its window, empty for the ledger of a source, and the ids, eight bytes each.
-- Returns, when done, the end of the feed and the size of each set of ids in bytes.
local meta = KEYS[1]
local state = redis.call('HMGET', meta, 'home', 'token', 'commit_no', 'applied', 'log_end', 'feed_end', 'clock',
  'dead_last', 'c_applied', 'c_duplicates', 'c_dead', 'c_late', 'c_blocked', 'c_sourced')
local owner_incarnation, token = state[1], state[2]
if not owner_incarnation then
  -- A partition without data has no owner, and a commit begins none.
  return {ARGV[1], 'fenced', '0'}
end
if owner_incarnation ~= ARGV[1] then
  owner_incarnation = begin_generation(meta, fresh_nonce)
  token = redis.call('HGET', meta, 'token')
end
if token ~= owner_token or (state[3] or '0') ~= expected_commit_no then
  return {owner_incarnation, 'fenced', state[3] or '0'}
end
-- A string of Redis holds at most 512 MiB; checked here, since APPEND would fail after other writes.
for set = 7, #KEYS do
  if redis.call('STRLEN', KEYS[set]) + #ARGV[#ARGV - 2 * (#KEYS - set)] > WINDOW_BYTES_MAX then
    return {owner_incarnation, 'crowded'}
  end
end

local at = FIRST_UNNAMED
local function take(command, key, count)
  spread(command, key, at, at + tonumber(count) - 1)
  at = at + tonumber(count)
end
take('HSET', KEYS[2], profile_values)
take('HDEL', KEYS[2], deletion_count)
take('HSET', KEYS[6], tombstone_values)
take('HDEL', KEYS[6], expired_count)

local dead_last = tonumber(state[8]) or 0
for _ = 1, tonumber(letter_count) do
  -- A position that was lost and assigned again may be below a stored one, but ids of a stream only grow.
  dead_last = math.max(dead_last, tonumber(ARGV[at]))
  redis.call('XADD', KEYS[4], text(dead_last) .. '-*', 'p', ARGV[at], 'l', ARGV[at + 1])
  at = at + 2
end
if letter_count ~= '0' then
  redis.call('XTRIM', KEYS[4], 'MAXLEN', letters_kept)
end

local set_bytes = {}
for set = 7, #KEYS do
  local bytes = redis.call('APPEND', KEYS[set], ARGV[at + 1])
  -- The first ids of a window create its string; the sorted set lists the windows for trims.
  if ARGV[at] ~= '' and bytes == #ARGV[at + 1] then
    redis.call('ZADD', KEYS[5], ARGV[at], ARGV[at])
  end
  set_bytes[#set_bytes + 1] = bytes
  at = at + 2
end

local feed_end = state[6] or '0'
if change_count ~= '0' then
  feed_end = text(tonumber(feed_end) + tonumber(change_count))
  redis.call('XADD', KEYS[3], feed_end .. '-' .. change_count, 'b', change_block)
end

local applied = text(math.min(math.max(tonumber(state[4]) or 0, tonumber(applied_through)), tonumber(state[5]) or 0))
local function sum(index, more)
  return text((tonumber(state[index]) or 0) + tonumber(more))
end
redis.call('HSET', meta, 'commit_no', next_commit_no, 'applied', applied, 'feed_end', feed_end,
  'clock', text(math.max(tonumber(state[7]) or 0, tonumber(clock))), 'dead_last', text(dead_last),
  'c_applied', sum(9, more_applied), 'c_duplicates', sum(10, more_duplicates), 'c_dead', sum(11, more_dead),
  'c_late', sum(12, more_late), 'c_blocked', sum(13, more_blocked), 'c_sourced', sum(14, more_sourced))
if note ~= '' then
  redis.call('HSET', meta, 'note', string.sub(note, 2))
end
notify(channel, 'commit')
return {owner_incarnation, 'done', feed_end, unpack(set_bytes)}
