-- Returns the partition's generation and the sizes of windows of ids in bytes. KEYS: meta, windows.
local sizes = {redis.call('HGET', KEYS[1], 'generation') or ''}
for index = 2, #KEYS do
  sizes[index] = redis.call('STRLEN', KEYS[index])
end
return sizes
