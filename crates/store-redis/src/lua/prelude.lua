-- Which life of which server this is. A restart begins another one, and so does a replica's promotion.
local function life()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  return string.sub(run, 1, 16) .. string.sub(history, 1, 16)
end

-- A number as text, whole: Lua would write a large one with an exponent.
local function text(number)
  return string.format('%.0f', number)
end

-- The caller's clock, or the server's if the caller has none.
local function moment(clock)
  local now = tonumber(clock)
  if not now then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  end
  return now
end

-- Called where the caller's idea of the server's life and the partition's differ. The server itself is asked: if it lives
-- another life than the partition knows, the newest places may be lost, and new generations begin at what is there. The
-- lease ends too: its owner may have read records that are lost, and others that have their places now would count as applied.
local function settle(meta, nonce)
  local now = life()
  local state = redis.call('HMGET', meta, 'home', 'generation', 'generations', 'log_end', 'feed_end', 'token')
  if state[1] == now then
    return now, state[2]
  end
  local first = text((tonumber(state[4]) or 0) + 1) .. ':' .. text((tonumber(state[5]) or 0) + 1)
  local list = (state[3] or '') .. nonce .. ':' .. first .. ';'
  local _, count = string.gsub(list, ';', ';')
  for _ = GENERATIONS_KEPT + 1, count do
    list = string.sub(list, string.find(list, ';', 1, true) + 1)
  end
  redis.call('HSET', meta, 'home', now, 'generation', nonce, 'generations', list)
  if state[6] then
    -- The epoch stays, so that the next one is higher; the nonce is nobody's.
    redis.call('HSET', meta, 'token', string.match(state[6], '^%d+') .. ':' .. nonce, 'until', '0')
  end
  return now, nonce
end

-- Calls `command` on `key` with ARGV[from] to ARGV[to]; Lua cannot unpack all of many at once.
local function spread(command, key, from, to)
  while from <= to do
    local last = math.min(from + 1999, to)
    redis.call(command, key, unpack(ARGV, from, last))
    from = last + 1
  end
end

-- Shows the blocks of a stream from `from` on to `take`, until it says no: few large ones at a time, or many small ones.
local function walk(stream, from, take)
  local many = 1
  while true do
    local entries, bytes = redis.call('XRANGE', stream, from, '+', 'COUNT', many), 1
    for _, entry in ipairs(entries) do
      local last, count = string.match(entry[1], '^(%d+)-(%d+)$')
      local block = entry[2][2]
      if not take(tonumber(last), tonumber(count), block) then
        return
      end
      bytes = bytes + #block
      from = '(' .. entry[1]
    end
    if #entries < many then
      return
    end
    many = math.max(1, math.min(64, math.floor(65536 * many / bytes)))
  end
end

-- Wakes who waits; that nobody may be told must not undo what was done.
local function tell(channel, message)
  redis.pcall('SPUBLISH', channel, message)
end
