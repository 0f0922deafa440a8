-- Gives the open jobs of a user that were not looked at for the longest, and notes that they are
-- looked at. KEYS[1]: the user's sorted set; KEYS[2]: that a look was taken. ARGV: how many, the
-- time between looks and the time a submit takes, in milliseconds.

if not redis.call('SET', KEYS[2], 1, 'NX', 'PX', ARGV[2]) then return {} end
local now = tonumber(redis.call('TIME')[1])
local before = now - tonumber(ARGV[3]) / 1000
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', before, 'LIMIT', 0, ARGV[1])
for _, job in ipairs(found) do redis.call('ZADD', KEYS[1], before, job) end
return found
