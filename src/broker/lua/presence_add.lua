-- Adds a client to presence, or renews its entry.
--
-- KEYS  clients by expiry, clients; where users are counted also users by expiry, users
-- ARGV  client, info, ttl_s, second of expiry, whether fields of hashes expire ('1' or '0'), user
local clients_expiry, clients, users_expiry, users = unpack(KEYS)
local client, info, ttl, expires_at, fields_expire, user = unpack(ARGV)

local function keep(hash, expiry, field)
  redis.call('EXPIRE', hash, ttl)
  if fields_expire == '1' then
    redis.call('HEXPIRE', hash, ttl, 'FIELDS', 1, field)
  else
    redis.call('ZADD', expiry, expires_at, field)
    redis.call('EXPIRE', expiry, ttl)
  end
end

local is_new = redis.call('HSET', clients, client, info) == 1
keep(clients, clients_expiry, client)
if users then
  if is_new then
    redis.call('HINCRBY', users, user, 1)
  end
  keep(users, users_expiry, user)
end
