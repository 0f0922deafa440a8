-- Counts one call of a user against quotas, all or none. The rule is told in jobs/rate.py.
-- KEYS: a quota's of this user each. ARGV: calls and window of each quota, in seconds.
-- Gives how far ahead of now each quota is with this call, in microseconds by Redis's own clock.

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1e6 + tonumber(clock[2])
local ahead, fits = {}, true

for i, key in ipairs(KEYS) do
  local step = tonumber(ARGV[2 * i]) * 1e6 / tonumber(ARGV[2 * i - 1])
  local paid_off = math.max(now, tonumber(redis.call('GET', key) or 0))
  -- Another window than before may have left more than this one holds.
  ahead[i] = math.min(paid_off - now, tonumber(ARGV[2 * i]) * 1e6) + step
  fits = fits and ahead[i] <= tonumber(ARGV[2 * i]) * 1e6 + 1
end

if fits then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', now + ahead[i]), 'PX', math.ceil(ahead[i] / 1000) + 1)
  end
end

local told = {}
for i = 1, #KEYS do told[i] = string.format('%.0f', ahead[i]) end
return told
