-- Makes sure that a partition has a generation of the server's present life. KEYS: meta. ARGV: home, nonce.
local home = redis.call('HGET', KEYS[1], 'home')
if home ~= ARGV[1] then
  home = settle(KEYS[1], home, ARGV[2])
end
return home
