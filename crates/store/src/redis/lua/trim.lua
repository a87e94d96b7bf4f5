-- Forgets what is old, one bounded step. KEYS: meta, log, changes, ages of the log, of the feed, windows, then each old
-- window. ARGV: log before, feed before, records a step, then the number of each old window.
local meta = KEYS[1]
local state = redis.call('HMGET', meta, 'log_end', 'log_trimmed', 'log_newest', 'applied', 'feed_end', 'feed_trimmed',
  'feed_newest')
local step = tonumber(ARGV[3])

local function trim(kind, stream, ages, before, stop, trimmed, newest, bound)
  if not newest then
    return 0
  end
  stop, trimmed = tonumber(stop) or 0, tonumber(trimmed) or 0
  local through = stop
  if tonumber(newest) >= tonumber(before) then
    through = tonumber(redis.call('ZREVRANGEBYSCORE', ages, before, '-inf', 'LIMIT', 0, 1)[1]) or 0
  end
  through = math.min(through, bound or stop, trimmed + step)
  if through <= trimmed then
    return 0
  end
  redis.call('XTRIM', stream, 'MINID', '=', text(through + 1) .. '-0')
  local now = stop
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if oldest then
    local last, count = string.match(oldest[1], '^(%d+)-(%d+)$')
    now = tonumber(last) - tonumber(count)
  end
  if now <= trimmed then
    return 0
  end
  redis.call('HSET', meta, kind .. '_trimmed', text(now))
  -- What is told of places that are gone is not needed; the newest of it may still name a time.
  for _, mark in ipairs(redis.call('ZRANGE', ages, 0, 99)) do
    if tonumber(mark) > now then
      break
    end
    redis.call('ZREM', ages, mark)
  end
  return now - trimmed
end

local records = trim('log', KEYS[2], KEYS[4], ARGV[1], state[1], state[2], state[3], tonumber(state[4]) or 0)
local changes = trim('feed', KEYS[3], KEYS[5], ARGV[2], state[5], state[6], state[7])
for index = 7, #KEYS do
  redis.call('UNLINK', KEYS[index])
  redis.call('ZREM', KEYS[6], ARGV[index - 3])
end
return {records, changes, #KEYS - 6}
