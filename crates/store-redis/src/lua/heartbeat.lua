-- Registers or extends a member, or only reads; returns the version of the list of members, and the list unless the caller has that
-- version. KEYS: the hash of all members, id -> expiry and name; the ids by expiry; the list with its version in front.
-- ARGV: id, time to live (empty to read only), the caller's clock or empty, name, largest number of members, version that the caller
-- has or empty, version of a list that may begin now.
--
-- A thousand workers send two thousand heartbeats a second, so one that changes nothing must not read all members.
local hash, expiries, list = KEYS[1], KEYS[2], KEYS[3]
local id, ttl, now = ARGV[1], tonumber(ARGV[2]), now_ms(ARGV[3])
local changed = redis.call('HLEN', hash) ~= redis.call('ZCARD', expiries)
if changed then
  -- A member deregistered, or an earlier release, which knows the hash alone, registered one.
  redis.call('DEL', expiries)
  local all = redis.call('HGETALL', hash)
  for index = 1, #all, 2 do
    redis.call('ZADD', expiries, string.match(all[index + 1], '^%d+'), all[index])
  end
end
for _, expired in ipairs(redis.call('ZRANGEBYSCORE', expiries, '-inf', text(now))) do
  local expiry = tonumber(string.match(redis.call('HGET', hash, expired) or '', '^%d+'))
  if expiry and expiry > now then
    -- An earlier release extended it in the hash alone.
    redis.call('ZADD', expiries, text(expiry), expired)
  else
    redis.call('HDEL', hash, expired)
    redis.call('ZREM', expiries, expired)
    changed = true
  end
end
local refused = false
if ttl then
  local known = redis.call('HGET', hash, id)
  refused = not known and redis.call('HLEN', hash) >= tonumber(ARGV[5])
  if not refused then
    changed = changed or not known or string.match(known, '^%d+ (.*)$') ~= ARGV[4]
    redis.call('HSET', hash, id, text(now + ttl) .. ' ' .. ARGV[4])
    redis.call('ZADD', expiries, text(now + ttl), id)
  end
end
local version = redis.call('GETRANGE', list, 0, 31)
if changed or version == '' then
  version = ARGV[7]
  local parts, all = {version}, redis.call('HGETALL', hash)
  for index = 1, #all, 2 do
    local name = string.match(all[index + 1], '^%d+ (.*)$')
    parts[#parts + 1] = all[index] .. string.format('%03d', #name) .. name
  end
  redis.call('SET', list, table.concat(parts))
end
-- Only now, so that the list is that of the hash in any case.
if refused then
  return false
end
if version == ARGV[6] then
  return {version}
end
return {version, redis.call('GETRANGE', list, 32, -1)}
