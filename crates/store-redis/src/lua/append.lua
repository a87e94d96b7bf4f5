-- Appends one block of records; the entry's id is the position of its last record and the number of records.
-- KEYS: meta, log. ARGV: incarnation, nonce, channel, count, block.
local meta = KEYS[1]
local state = redis.call('HMGET', meta, 'home', 'generation', 'log_end', 'applied')
local owner_incarnation, generation = state[1], state[2]
if owner_incarnation ~= ARGV[1] then
  owner_incarnation, generation = begin_generation(meta, ARGV[2])
end
-- Positions are contiguous because the script is the only writer of log_end.
local last = text((tonumber(state[3]) or 0) + tonumber(ARGV[4]))
redis.call('XADD', KEYS[2], last .. '-' .. ARGV[4], 'b', ARGV[5])
redis.call('HSET', meta, 'log_end', last)
notify(ARGV[3], 'log')
return {owner_incarnation, generation, last, state[4] or '0'}
