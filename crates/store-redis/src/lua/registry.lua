-- Changes the models, if they are what the caller knows. KEYS: registry, then parts to forget.
-- ARGV: expected number, next number, the trainer's token or nothing, the new registry, channel.
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
tell(ARGV[5], 'models')
return {'done', ARGV[2]}
