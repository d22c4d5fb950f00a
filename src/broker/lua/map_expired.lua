-- Which keys of a map expired.
--
-- KEYS  state, expiry
-- ARGV  now_ms, most keys
-- Gives key, value and moment of expiry in turn.
local found = {}
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], 0, ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for at = 1, #expired, 2 do
  local key, expires_at = expired[at], expired[at + 1]
  table.insert(found, key)
  table.insert(found, redis.call('HGET', KEYS[1], key) or '')
  table.insert(found, expires_at)
end
return found
