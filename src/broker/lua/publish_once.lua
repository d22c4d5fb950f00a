-- Publishes without history, unless something was published with the same idempotency key.
--
-- KEYS  result of the idempotency key
-- ARGV  publication, PUB/SUB command, PUB/SUB channel ('' = tell nobody), result_ttl_s
-- Gives offset and epoch of the first one with the key, which may have had history, and why there is none; nothing
-- when this is the first.
local result = KEYS[1]
local publication, command, channel, result_ttl = unpack(ARGV)

local first = redis.call('HMGET', result, 's', 'e')
if first[2] then
  return { first[1], first[2], 'idempotency' }
end
if channel ~= '' then
  redis.call(command, channel, publication)
end
redis.call('HSET', result, 'e', '')
redis.call('EXPIRE', result, result_ttl)
return false
