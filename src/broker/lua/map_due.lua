-- Which maps have keys that may have expired.
--
-- KEYS  registry of maps
-- ARGV  now_ms, most maps
-- Gives name and moment in turn, the oldest one first.
return redis.call('ZRANGEBYSCORE', KEYS[1], 0, ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
