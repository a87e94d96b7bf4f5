-- Reads blocks of a log or feed after a position, within bounds, and the end at the same moment. KEYS: meta, stream.
-- ARGV: field of the end, field of the trimmed position, after, records, bytes.
local state = redis.call('HMGET', KEYS[1], 'home', 'generation', ARGV[1], ARGV[2])
local stop, trimmed = tonumber(state[3]) or 0, tonumber(state[4]) or 0
local after, most_records, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local blocks, records, bytes = {}, 0, 0
-- A reader behind the trimmed part gets no blocks: the caller reports it.
if after < stop and after >= trimmed then
  walk(KEYS[2], text(after + 1) .. '-0', function(last, count, block)
    if records > 0 and bytes + #block > most_bytes then
      return false
    end
    blocks[#blocks + 1] = text(last - count + 1)
    blocks[#blocks + 1] = block
    records, bytes = records + last - math.max(after, last - count), bytes + #block
    return records < most_records and bytes < most_bytes
  end)
end
return {state[1], state[2], text(stop), text(trimmed), blocks}
