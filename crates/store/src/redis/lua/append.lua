-- Appends one block of records. Refused while memory is used up.
-- KEYS: meta, log, ages of the log. ARGV: home, nonce, channel, count, at, block.
local meta = KEYS[1]
local state = redis.call('HMGET', meta, 'home', 'generation', 'log_end', 'applied', 'log_newest', 'log_mark')
local home, generation = state[1], state[2]
if home ~= ARGV[1] then
  home, generation = settle(meta, home, ARGV[2])
end
local last = state[3] or '0'
local stop = text(tonumber(last) + tonumber(ARGV[4]))
redis.call('XADD', KEYS[2], stop .. '-' .. ARGV[4], 'b', ARGV[6])
local newest = age(meta, KEYS[3], 'log', state[5], state[6], tonumber(ARGV[5]), last)
redis.call('HSET', meta, 'log_end', stop, 'log_newest', newest)
tell(ARGV[3], 'l' .. stop)
return {home, generation, stop, state[4] or '0'}
