-- Makes sure that a partition has a generation of the server's present life. KEYS: meta. ARGV: life, nonce.
local state = redis.call('HMGET', KEYS[1], 'home', 'generation')
if state[1] == ARGV[1] then
  return state
end
return {settle(KEYS[1], ARGV[2])}
