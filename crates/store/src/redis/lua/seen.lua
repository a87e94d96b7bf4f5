-- Which ids are remembered. KEYS: windows. ARGV: for each window its questions in one, two bytes of the
-- bucket and seven of the id each.
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
local answers = {}
for index, window in ipairs(KEYS) do
  local asked = ARGV[index]
  if redis.call('EXISTS', window) == 0 then
    answers[#answers + 1] = string.rep('0', #asked / 9)
  else
    for first = 1, #asked, 9000 do
      local last, buckets = math.min(first + 8999, #asked), {}
      for from = first, last, 9 do
        buckets[#buckets + 1] = string.sub(asked, from, from + 1)
      end
      local found = redis.call('HMGET', window, unpack(buckets))
      for from = first, last, 9 do
        local ids = found[(from - first) / 9 + 1]
        answers[#answers + 1] = ids and holds(ids, string.sub(asked, from + 2, from + 8)) and '1' or '0'
      end
    end
  end
end
return table.concat(answers)
