-- Trims expired data in one bounded step. KEYS: meta, log, changes, windows, dead letters, then each old window.
-- ARGV: log before, feed before, largest size of the log in bytes or empty, then the number of each old window.
-- Returns the numbers of records, changes and windows, the bytes and the oldest time of the log that is left, and whether more is
-- expired.
local meta = KEYS[1]
local most_blocks, most_bytes = 256, 262144

-- Finds the oldest blocks of a stream that were written before `before`, or are above `surplus` bytes, and end at `bound` at the
-- latest. Calls `removed` with the last position and the size of each.
local function expired(stream, before, bound, surplus, removed)
  local found = {blocks = 0, bytes = 0, through = 0, oldest_at = '', more = 0}
  walk(stream, '-', function(last, _, block)
    local at = struct.unpack('<i8', block)
    if last > bound or (at >= before and found.bytes >= surplus) then
      found.oldest_at = text(at)
      return false
    end
    if found.blocks >= most_blocks or found.bytes >= most_bytes then
      found.more = 1
      return false
    end
    found.blocks, found.bytes, found.through = found.blocks + 1, found.bytes + #block, last
    removed(last, #block)
    return true
  end)
  return found
end

-- Removes the blocks that were found.
local function trim(stream, field, found)
  if found.through > 0 then
    redis.call('XTRIM', stream, 'MINID', '=', text(found.through + 1) .. '-0')
    redis.call('HSET', meta, field, text(found.through))
  end
end

local state = redis.call('HMGET', meta, 'log_trimmed', 'applied', 'feed_trimmed', 'feed_end', 'log_end', 'log_bytes',
  'log_bytes_from', 'log_bytes_end')
local function number(index)
  return tonumber(state[index]) or 0
end
local log_trimmed, log_end, feed_trimmed = number(1), number(5), number(3)
local bytes, from, counted_through = number(6), number(7), number(8)
local size = log_size(bytes, from, counted_through, log_trimmed, log_end)
local surplus = ARGV[3] == '' and 0 or size - tonumber(ARGV[3])
-- A release that does not count has trimmed counted records: counting begins anew.
local anew = from < log_trimmed
if anew then
  bytes, from, counted_through = 0, log_end, log_end
end
local log = expired(KEYS[2], tonumber(ARGV[1]), number(2), surplus, function(last, block_bytes)
  if last > from and last <= counted_through then
    bytes, from = bytes - block_bytes, last
  end
end)
trim(KEYS[2], 'log_trimmed', log)
log_trimmed = math.max(log_trimmed, log.through)
if anew or log.through > 0 then
  redis.call('HSET', meta, 'log_bytes', text(bytes), 'log_bytes_from', text(from), 'log_bytes_end', text(counted_through))
end
local feed = expired(KEYS[3], tonumber(ARGV[2]), number(4), 0, function() end)
trim(KEYS[3], 'feed_trimmed', feed)
-- A dead letter is trimmed with its record; the id of its entry is the record's position, or a later one.
if redis.call('EXISTS', KEYS[5]) == 1 then
  redis.call('XTRIM', KEYS[5], 'MINID', '=', text(log_trimmed + 1) .. '-0')
end
local windows = 0
for index = 6, #KEYS do
  redis.call('UNLINK', KEYS[index])
  windows = windows + redis.call('ZREM', KEYS[4], ARGV[index - 2])
end
return {log_trimmed - number(1), math.max(feed.through - feed_trimmed, 0), windows,
  text(log_size(bytes, from, counted_through, log_trimmed, log_end)), log.oldest_at, math.max(log.more, feed.more)}
