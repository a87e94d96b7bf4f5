-- Acquires, renews or releases the lease of a partition or of training. KEYS: the hash that holds it.
-- ARGV: action, nonce of a generation or empty, nonce or token, time to live, the caller's clock or empty.
local key = KEYS[1]
if ARGV[2] ~= '' then
  -- Owners renew every few seconds, so a promotion without a restart is noticed here even without writes.
  begin_generation(key, ARGV[2])
end
local now = now_ms(ARGV[5])
local state = redis.call('HMGET', key, 'token', 'until')
local token, running = state[1], (tonumber(state[2]) or 0) > now
if ARGV[1] == 'acquire' then
  if running and token then
    if string.match(token, ':(%x+)$') ~= ARGV[3] then
      return false
    end
  else
    local epoch = token and tonumber(string.match(token, '^%d+')) or 0
    token = text(epoch + 1) .. ':' .. ARGV[3]
  end
  redis.call('HSET', key, 'token', token, 'until', text(now + tonumber(ARGV[4])))
  return token
end
if token ~= ARGV[3] then
  return false
end
if ARGV[1] == 'renew' then
  redis.call('HSET', key, 'until', text(now + tonumber(ARGV[4])))
else
  redis.call('HSET', key, 'until', '0')
end
return token
