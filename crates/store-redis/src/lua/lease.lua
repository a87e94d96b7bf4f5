-- Acquires, renews or releases the lease of a partition or of training. KEYS: the hash that holds it.
-- ARGV: action, nonce of a generation or empty, nonce or token, time to live, the caller's clock or empty; for an acquisition
-- also the name of the process, and 1 if it takes back the lease of another process of that name.
local key = KEYS[1]
if ARGV[2] ~= '' then
  if redis.call('HEXISTS', key, 'home') == 0 then
    -- As for an append: the caller finds out whether the partition is a new one.
    return {'absent', ''}
  end
  -- Owners renew every few seconds, so a promotion without a restart is noticed here even without writes.
  begin_generation(key, ARGV[2])
end
local now = now_ms(ARGV[5])
local state = redis.call('HMGET', key, 'token', 'until', 'holder')
local token, running = state[1], (tonumber(state[2]) or 0) > now
if ARGV[1] == 'acquire' then
  local epoch, nonce = string.match(token or '', '^(%d+):(%x+)$')
  -- An earlier release writes the token alone and leaves the holder of a lease before: it counts only with the token's nonce.
  local named, holder = string.match(state[3] or '', '^(%x+) (.*)$')
  if named ~= nonce then
    holder = nil
  end
  if not running or nonce ~= ARGV[3] then
    if running and not (ARGV[7] == '1' and holder == ARGV[6]) then
      return {'held', holder or ''}
    end
    token = text((tonumber(epoch) or 0) + 1) .. ':' .. ARGV[3]
  end
  redis.call('HSET', key, 'token', token, 'until', text(now + tonumber(ARGV[4])), 'holder', ARGV[3] .. ' ' .. ARGV[6])
  return {'acquired', token}
end
if token ~= ARGV[3] then
  return {'held', ''}
end
if ARGV[1] == 'renew' then
  redis.call('HSET', key, 'until', text(now + tonumber(ARGV[4])))
else
  redis.call('HSET', key, 'until', '0')
end
return {'acquired', token}
