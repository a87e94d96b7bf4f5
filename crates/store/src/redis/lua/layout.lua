-- What was fixed at creation; whoever comes first fixes it. KEYS: layout. ARGV: format, partitions, window.
local state = redis.call('HMGET', KEYS[1], 'format', 'partitions', 'dedup_window_ms')
if state[1] then
  return state
end
redis.call('HSET', KEYS[1], 'format', ARGV[1], 'partitions', ARGV[2], 'dedup_window_ms', ARGV[3])
return {ARGV[1], ARGV[2], ARGV[3]}
