-- Removes a client from presence.
--
-- KEYS  clients by expiry, clients; where users are counted also users by expiry, users
-- ARGV  client, whether fields of hashes expire ('1' or '0'), user
local clients_expiry, clients, users_expiry, users = unpack(KEYS)
local client, fields_expire, user = unpack(ARGV)

local function remove(hash, expiry, field)
  local was_there = redis.call('HDEL', hash, field) == 1
  if fields_expire ~= '1' then
    redis.call('ZREM', expiry, field)
  end
  return was_there
end

if remove(clients, clients_expiry, client) and users and redis.call('HINCRBY', users, user, -1) <= 0 then
  remove(users, users_expiry, user)
end
