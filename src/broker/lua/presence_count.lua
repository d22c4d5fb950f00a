-- How many are present, where users are counted. Those who expired are removed first.
--
-- KEYS  clients, users; unless fields of hashes expire by themselves also clients by expiry, users by expiry
-- ARGV  second
-- Gives the numbers of clients and of users.
local clients, users, clients_expiry, users_expiry = unpack(KEYS)

local function sweep(hash, expiry)
  for _, field in ipairs(redis.call('ZRANGEBYSCORE', expiry, 0, ARGV[1])) do
    redis.call('HDEL', hash, field)
  end
  redis.call('ZREMRANGEBYSCORE', expiry, 0, ARGV[1])
end

if clients_expiry then
  sweep(clients, clients_expiry)
  sweep(users, users_expiry)
end
return { redis.call('HLEN', clients), redis.call('HLEN', users) }
