-- Trims expired data in one bounded step. KEYS: meta, log, changes, windows, dead letters, then each old window.
-- ARGV: log before, feed before, then the number of each old window.
local meta = KEYS[1]
local most_blocks, most_bytes = 256, 262144

-- Removes the blocks of a stream that were written before `before` and end at `bound` at the latest.
local function trim(stream, field, before, trimmed, bound)
  local through, blocks, bytes = trimmed, 0, 0
  walk(stream, '-', function(last, _, block)
    if last > bound or struct.unpack('<i8', block) >= before then
      return false
    end
    through, blocks, bytes = last, blocks + 1, bytes + #block
    return blocks < most_blocks and bytes < most_bytes
  end)
  if through > trimmed then
    redis.call('XTRIM', stream, 'MINID', '=', text(through + 1) .. '-0')
    redis.call('HSET', meta, field, text(through))
  end
  return through - trimmed
end

local state = redis.call('HMGET', meta, 'log_trimmed', 'applied', 'feed_trimmed', 'feed_end')
local function number(index)
  return tonumber(state[index]) or 0
end
local records = trim(KEYS[2], 'log_trimmed', tonumber(ARGV[1]), number(1), number(2))
local changes = trim(KEYS[3], 'feed_trimmed', tonumber(ARGV[2]), number(3), number(4))
-- A dead letter is trimmed with its record; the id of its entry is the record's position, or a later one.
if redis.call('EXISTS', KEYS[5]) == 1 then
  redis.call('XTRIM', KEYS[5], 'MINID', '=', text(number(1) + records + 1) .. '-0')
end
local windows = 0
for index = 6, #KEYS do
  redis.call('UNLINK', KEYS[index])
  windows = windows + redis.call('ZREM', KEYS[4], ARGV[index - 3])
end
return {records, changes, windows}
