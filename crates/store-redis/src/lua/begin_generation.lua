-- Makes sure that a partition has a generation of the server's current incarnation. KEYS: meta. ARGV: incarnation, nonce.
local state = redis.call('HMGET', KEYS[1], 'home', 'generation')
if state[1] == ARGV[1] then
  return state
end
return {begin_generation(KEYS[1], ARGV[2])}
