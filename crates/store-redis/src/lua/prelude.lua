-- Incarnation of this server: 16 digits of its run id and of its replication id. A restart changes the first, a promotion of a
-- replica the second.
local function incarnation()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  return string.sub(run, 1, 16) .. string.sub(history, 1, 16)
end

-- Returns a number as text without an exponent, which Lua uses for large ones.
local function text(number)
  return string.format('%.0f', number)
end

-- Returns the time in milliseconds: the caller's clock, or the server's without one.
local function now_ms(clock)
  local now = tonumber(clock)
  if not now then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  end
  return now
end

-- Begins a generation if the server's incarnation differs from the one that wrote last. Called if the incarnation known to the
-- caller differs from the stored one, so the server's own is read here. A new incarnation may have lost the newest positions, so
-- new generations begin at the current ends. The lease ends too: its owner may have read records that are lost, and the records
-- that get their positions would count as applied. The stored field of the incarnation is named home and keeps that name.
local function begin_generation(meta, nonce)
  local current = incarnation()
  local state = redis.call('HMGET', meta, 'home', 'generation', 'generations', 'log_end', 'feed_end', 'token')
  if state[1] == current then
    return current, state[2]
  end
  local first = text((tonumber(state[4]) or 0) + 1) .. ':' .. text((tonumber(state[5]) or 0) + 1)
  local list = (state[3] or '') .. nonce .. ':' .. first .. ';'
  local _, count = string.gsub(list, ';', ';')
  -- Only the newest generations are retained, since every read of the state returns the list.
  for _ = GENERATIONS_KEPT + 1, count do
    list = string.sub(list, string.find(list, ';', 1, true) + 1)
  end
  redis.call('HSET', meta, 'home', current, 'generation', nonce, 'generations', list)
  if state[6] then
    -- The epoch stays, so that the next one is higher; the nonce belongs to no owner.
    redis.call('HSET', meta, 'token', string.match(state[6], '^%d+') .. ':' .. nonce, 'until', '0')
  end
  return current, nonce
end

-- Returns the size in bytes of a log's records after `trimmed` and up to `stop`. `bytes` are those of the counted records, after
-- `from` and up to `counted_through`; their mean stands for records that a release appended which does not count.
local function log_size(bytes, from, counted_through, trimmed, stop)
  local counted, retained = counted_through - from, stop - trimmed
  if counted <= 0 then
    return 0
  end
  return counted == retained and bytes or math.floor(bytes / counted * retained)
end

-- Calls `command` on `key` with ARGV[from] to ARGV[to]; Lua cannot unpack very many values at once.
local function spread(command, key, from, to)
  while from <= to do
    local last = math.min(from + 1999, to)
    redis.call(command, key, unpack(ARGV, from, last))
    from = last + 1
  end
end

-- Calls `take` with the blocks of a stream from `from` on, until it returns false. The number of blocks of a read adapts to their
-- size, so that one read holds about 64 KiB.
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

-- Wakes waiting readers. A failure is ignored, since it must not undo a write: an error does not roll a script back.
local function notify(channel, message)
  redis.pcall('SPUBLISH', channel, message)
end
