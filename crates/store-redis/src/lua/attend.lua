-- Who of the workers is there. KEYS: the hash of all of them, nonce -> until when, and what it is called.
-- ARGV: nonce, for how long or nothing to look only, the caller's clock or nothing, name, how many there may be.
local key, me = KEYS[1], ARGV[1]
local now, ttl = moment(ARGV[3]), tonumber(ARGV[2])
local all, there = redis.call('HGETALL', key), {}
for index = 1, #all, 2 do
  local nonce = all[index]
  local till, name = string.match(all[index + 1], '^(%d+) (.*)$')
  if tonumber(till) <= now then
    redis.call('HDEL', key, nonce)
  elseif nonce ~= me then
    there[#there + 1] = nonce
    there[#there + 1] = name
  end
end
if ttl then
  if #there / 2 >= tonumber(ARGV[5]) then
    return false
  end
  redis.call('HSET', key, me, text(now + ttl) .. ' ' .. ARGV[4])
  there[#there + 1] = me
  there[#there + 1] = ARGV[4]
end
return there
