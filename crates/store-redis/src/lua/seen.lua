-- How many bytes of ids windows have, and in which generation. KEYS: meta, windows.
local answers = {redis.call('HGET', KEYS[1], 'generation') or ''}
for index = 2, #KEYS do
  answers[index] = redis.call('STRLEN', KEYS[index])
end
return answers
