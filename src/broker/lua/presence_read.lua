-- Who is present. Those who expired are removed first.
--
-- KEYS  clients; unless fields of hashes expire by themselves also clients by expiry
-- ARGV  second
-- Gives clients and infos in turn.
local clients, clients_expiry = unpack(KEYS)

if clients_expiry then
  for _, client in ipairs(redis.call('ZRANGEBYSCORE', clients_expiry, 0, ARGV[1])) do
    redis.call('HDEL', clients, client)
  end
  redis.call('ZREMRANGEBYSCORE', clients_expiry, 0, ARGV[1])
end
return redis.call('HGETALL', clients)
