-- Removes keys of a map that expired and were not renewed since that was found out, and registers when the next one
-- will.
--
-- KEYS  state, expiry, registry of maps; with a stream also stream, meta, state meta
-- ARGV  name of the map in the registry, stream size, stream ttl_ms, meta_ttl_ms ('0' = for ever), fresh epoch,
--       PUB/SUB command, PUB/SUB channel ('' = tell nobody); then key, publication and moment of expiry in turn
-- Gives how many were removed.
local state, expiry, registry, stream, meta, state_meta = unpack(KEYS)
local name, size, stream_ttl, meta_ttl, epoch, command, channel = unpack(ARGV, 1, 7)

if meta and ARGV[8] then
  local known = redis.call('HGET', meta, 'e')
  if known then
    epoch = known
  else
    redis.call('HSET', meta, 'e', epoch)
  end
end

local removed = 0
for at = 8, #ARGV, 3 do
  local key, publication, expires_at = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if redis.call('ZSCORE', expiry, key) == expires_at then
    local offset = 0
    if stream then
      offset = redis.call('HINCRBY', meta, 's', 1)
      if meta_ttl ~= '0' then
        redis.call('PEXPIRE', meta, meta_ttl)
      end
      redis.call('XADD', stream, 'MAXLEN', '~', size, offset, 'e', epoch, 'd', publication)
      if stream_ttl ~= '0' then
        redis.call('PEXPIRE', stream, stream_ttl)
      end
      redis.call('HDEL', state_meta, 'v:' .. key, 've:' .. key)
    end
    redis.call('HDEL', state, key)
    redis.call('ZREM', expiry, key)
    if channel ~= '' then
      redis.call(command, channel, offset .. ':' .. epoch .. ':' .. publication)
    end
    removed = removed + 1
  end
end

local next_one = redis.call('ZRANGE', expiry, 0, 0, 'WITHSCORES')
if next_one[2] then
  redis.call('ZADD', registry, next_one[2], name)
else
  redis.call('ZREM', registry, name)
end
return removed
