-- Which life of which server this is. A restart, and a replica's promotion, begin another one.
local function life()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  return string.sub(run, 1, 16) .. string.sub(history, 1, 16)
end

local function text(number)
  return string.format('%.0f', number)
end

-- Called where the caller's idea of the server's life and the partition's differ. The server itself is asked: if it lives
-- another life than the partition knows, the newest places may be lost, and new generations begin at what is there.
local function settle(meta, home, nonce)
  local now = life()
  local state = redis.call('HMGET', meta, 'generation', 'generations', 'log_end', 'feed_end')
  if home == now then
    return now, state[1]
  end
  local first = text((tonumber(state[3]) or 0) + 1) .. ':' .. text((tonumber(state[4]) or 0) + 1)
  local list = (state[2] or '') .. nonce .. ':' .. first .. ';'
  local _, count = string.gsub(list, ';', ';')
  for _ = 65, count do
    list = string.sub(list, string.find(list, ';', 1, true) + 1)
  end
  redis.call('HSET', meta, 'home', now, 'generation', nonce, 'generations', list)
  return now, nonce
end

-- Notes how old a stretch is: `at` belongs to what comes after place `last`. Coarse, so that it costs nothing.
local function age(meta, ages, kind, newest, mark, at, last)
  newest = math.max(tonumber(newest) or at, at)
  if not mark then
    redis.call('HSET', meta, kind .. '_mark', text(newest))
  elseif newest >= tonumber(mark) + 10000 then
    redis.call('ZADD', ages, text(newest), last)
    redis.call('HSET', meta, kind .. '_mark', text(newest))
  end
  return text(newest)
end

-- Calls `command` on `key` with ARGV[from] to ARGV[to]; Lua cannot unpack all of many at once.
local function spread(command, key, from, to)
  while from <= to do
    local last = math.min(from + 1999, to)
    redis.call(command, key, unpack(ARGV, from, last))
    from = last + 1
  end
end

-- Wakes who waits; that nobody may be told must not undo what was done.
local function tell(channel, message)
  redis.pcall('SPUBLISH', channel, message)
end
