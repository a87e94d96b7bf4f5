-- Reads the settings fixed at creation, or creates them. A store of the previous format gets a pseudonym key and the current format.
-- KEYS: layout. ARGV: format, partitions, window, previous format, pseudonym key.
local state = redis.call('HMGET', KEYS[1], 'format', 'partitions', 'dedup_window_ms', 'pseudonym_key')
if state[1] == ARGV[4] then
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'pseudonym_key', ARGV[5])
  state[1], state[4] = ARGV[1], ARGV[5]
end
if state[1] then
  return {state[1], state[2], state[3], state[4] or ''}
end
redis.call('HSET', KEYS[1], 'format', ARGV[1], 'partitions', ARGV[2], 'dedup_window_ms', ARGV[3], 'pseudonym_key', ARGV[5])
return {ARGV[1], ARGV[2], ARGV[3], ARGV[5]}
