-- Reads the settings fixed at creation, or creates them. A store of the previous format gets a pseudonym key and the current format,
-- and a store of a release before ids an id.
-- KEYS: layout. ARGV: format, partitions, window, previous format, pseudonym key, id, and 1 if a missing store is created.
-- Returns the settings and 1 if they were created; only a 0 if there is no store.
local fields = {'format', 'partitions', 'dedup_window_ms', 'pseudonym_key', 'id'}
local state = redis.call('HMGET', KEYS[1], unpack(fields))
if not state[1] and ARGV[7] ~= '1' then
  return {'0'}
end
if state[1] == ARGV[4] then
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'pseudonym_key', ARGV[5])
  state[1], state[4] = ARGV[1], ARGV[5]
end
if state[1] == ARGV[1] and not state[5] then
  redis.call('HSET', KEYS[1], 'id', ARGV[6])
  state[5] = ARGV[6]
end
if state[1] then
  return {state[1], state[2], state[3], state[4] or '', state[5] or '', '0'}
end
redis.call('HSET', KEYS[1], 'format', ARGV[1], 'partitions', ARGV[2], 'dedup_window_ms', ARGV[3], 'pseudonym_key', ARGV[5], 'id', ARGV[6])
return {ARGV[1], ARGV[2], ARGV[3], ARGV[5], ARGV[6], '1'}
