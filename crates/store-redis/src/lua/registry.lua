-- Changes the registry if it is the one known to the caller. KEYS: registry, then parts to remove.
-- ARGV: expected number, next number, the token of the training lease or empty, the new registry, channel.
local state = redis.call('HMGET', KEYS[1], 'number', 'token')
if (state[1] or '0') ~= ARGV[1] then
  return {'moved', state[1] or '0'}
end
if ARGV[3] ~= '' and state[2] ~= ARGV[3] then
  return {'fenced', ARGV[1]}
end
redis.call('HSET', KEYS[1], 'number', ARGV[2], 'registry', ARGV[4])
for index = 2, #KEYS do
  redis.call('UNLINK', KEYS[index])
end
notify(ARGV[5], 'models')
return {'done', ARGV[2]}
