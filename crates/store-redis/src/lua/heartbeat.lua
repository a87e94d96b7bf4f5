-- Registers or extends a member, or only reads; returns nonce and name of every member.
-- KEYS: the hash of all members, nonce -> expiry and name.
-- ARGV: nonce, time to live (empty to read only), the caller's clock or empty, name, largest number of members.
local key, own_nonce = KEYS[1], ARGV[1]
local now, ttl = now_ms(ARGV[3]), tonumber(ARGV[2])
local all, members = redis.call('HGETALL', key), {}
for index = 1, #all, 2 do
  local nonce = all[index]
  local expires_at, name = string.match(all[index + 1], '^(%d+) (.*)$')
  if tonumber(expires_at) <= now then
    -- Expired members are removed by the next heartbeat of any other one.
    redis.call('HDEL', key, nonce)
  elseif nonce ~= own_nonce then
    members[#members + 1] = nonce
    members[#members + 1] = name
  end
end
if ttl then
  if #members / 2 >= tonumber(ARGV[5]) then
    return false
  end
  redis.call('HSET', key, own_nonce, text(now + ttl) .. ' ' .. ARGV[4])
  members[#members + 1] = own_nonce
  members[#members + 1] = ARGV[4]
end
return members
