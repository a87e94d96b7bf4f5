-- A lease on a partition, or on the right to train. KEYS: the hash that has it.
-- ARGV: what, home or nothing, nonce of a generation, nonce or token, until, now.
local key = KEYS[1]
local state = redis.call('HMGET', key, 'home', 'token', 'until')
if ARGV[2] ~= '' and state[1] ~= ARGV[2] then
  settle(key, state[1], ARGV[3])
end
local token, running = state[2], (tonumber(state[3]) or 0) > tonumber(ARGV[6])
if ARGV[1] == 'acquire' then
  if running and token then
    if string.match(token, ':(%x+)$') ~= ARGV[4] then
      return false
    end
  else
    local epoch = token and tonumber(string.match(token, '^%d+')) or 0
    token = text(epoch + 1) .. ':' .. ARGV[4]
  end
  redis.call('HSET', key, 'token', token, 'until', ARGV[5])
  return token
end
if token ~= ARGV[4] then
  return false
end
-- Renewed, or ended early.
redis.call('HSET', key, 'until', ARGV[5])
return token
