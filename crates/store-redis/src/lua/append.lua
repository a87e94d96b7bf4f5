-- Appends one block of records; the entry's id is the place of its last record and how many there are.
-- KEYS: meta, log. ARGV: life, nonce, channel, count, block.
local meta = KEYS[1]
local state = redis.call('HMGET', meta, 'home', 'generation', 'log_end', 'applied')
local home, generation = state[1], state[2]
if home ~= ARGV[1] then
  home, generation = settle(meta, ARGV[2])
end
local last = text((tonumber(state[3]) or 0) + tonumber(ARGV[4]))
redis.call('XADD', KEYS[2], last .. '-' .. ARGV[4], 'b', ARGV[5])
redis.call('HSET', meta, 'log_end', last)
tell(ARGV[3], 'log')
return {home, generation, last, state[4] or '0'}
