-- Which ids are remembered. KEYS: windows. ARGV: for each window how many questions, then (bucket, id)*.
-- Out comes one digit for each question.
local width = 7
local function holds(ids, id)
  local from = 1
  while true do
    local at = string.find(ids, id, from, true)
    if not at then
      return false
    end
    if (at - 1) % width == 0 then
      return true
    end
    from = at + 1
  end
end
local answers, at = {}, 1
for _, window in ipairs(KEYS) do
  local left = tonumber(ARGV[at])
  at = at + 1
  while left > 0 do
    local count = math.min(left, 1000)
    local buckets = {}
    for index = 1, count do
      buckets[index] = ARGV[at + 2 * index - 2]
    end
    local found = redis.call('HMGET', window, unpack(buckets))
    for index = 1, count do
      local ids = found[index]
      answers[#answers + 1] = ids and holds(ids, ARGV[at + 2 * index - 1]) and '1' or '0'
    end
    at = at + 2 * count
    left = left - count
  end
end
return table.concat(answers)
