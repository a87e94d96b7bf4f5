-- Appends one block of records; the entry's id is the position of its last record and the number of records.
-- KEYS: meta, log. ARGV: incarnation, nonce, channel, count, block. Returns nothing for a partition without data: the caller finds out
-- whether it is a new one before its first generation begins.
local meta = KEYS[1]
local state = redis.call('HMGET', meta, 'home', 'generation', 'log_end', 'applied', 'log_bytes', 'log_bytes_end')
local owner_incarnation, generation = state[1], state[2]
if not owner_incarnation then
  return false
end
if owner_incarnation ~= ARGV[1] then
  owner_incarnation, generation = begin_generation(meta, ARGV[2])
end
-- Positions are contiguous because the script is the only writer of log_end.
local log_end = tonumber(state[3]) or 0
local last = text(log_end + tonumber(ARGV[4]))
local bytes = tonumber(state[5]) or 0
-- A release that does not count has appended: counting begins anew, since a range with a hole could not be trimmed exactly.
if tonumber(state[6]) ~= log_end then
  bytes = 0
  redis.call('HSET', meta, 'log_bytes_from', text(log_end))
end
redis.call('XADD', KEYS[2], last .. '-' .. ARGV[4], 'b', ARGV[5])
redis.call('HSET', meta, 'log_end', last, 'log_bytes', text(bytes + #ARGV[5]), 'log_bytes_end', last)
notify(ARGV[3], 'log')
return {owner_incarnation, generation, last, state[4] or '0'}
