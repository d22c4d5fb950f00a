-- Has a map go on under another epoch, unless it does so already. Its keys stay.
--
-- KEYS  stream, meta, state meta
-- ARGV  the epoch that it must not have any more, fresh epoch, meta_ttl_ms ('0' = for ever)
-- Gives offset and epoch, and the newest change, as a read does.
local stream, meta, state_meta = unpack(KEYS)
local old_epoch, fresh_epoch, meta_ttl = unpack(ARGV)

local known = redis.call('HMGET', meta, 'e', 's')
local epoch, offset = known[1], known[2] or 0
if not epoch then
  epoch, offset = fresh_epoch, 0
  redis.call('HSET', meta, 'e', epoch)
  redis.call('DEL', stream)
elseif epoch == old_epoch then
  epoch = fresh_epoch
  redis.call('HSET', meta, 'e', epoch)
  -- Keys of another epoch than the map's would not count.
  if redis.call('HGET', state_meta, 'epoch') == old_epoch then
    redis.call('HSET', state_meta, 'epoch', epoch)
  end
end
if meta_ttl ~= '0' then
  redis.call('PEXPIRE', meta, meta_ttl)
end
return { offset, epoch, redis.call('XREVRANGE', stream, offset, '-', 'COUNT', 1) }
