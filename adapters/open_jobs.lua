-- Adds an open job of a user, where there is room. KEYS[1]: the user's sorted set, by when a job
-- was added or looked at. ARGV: the job, the ceiling, how long the set is kept, in seconds.

local at = redis.call('TIME')[1]
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 1 end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], at, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
