-- Has the stream or list of a channel go on under another epoch, unless it does so already.
--
-- KEYS  stream or list, meta
-- ARGV  the epoch that it must not have any more, fresh epoch, meta_ttl_s ('0' = for ever), whether it is a list ('1')
-- Gives offset and epoch, and the newest entry, as a read does.
local kept, meta = unpack(KEYS)
local old_epoch, fresh_epoch, meta_ttl, is_list = unpack(ARGV)

local known = redis.call('HMGET', meta, 'e', 's')
local epoch, offset = known[1], known[2] or 0
if not epoch then
  offset = 0
end
if not epoch or epoch == old_epoch then
  epoch = fresh_epoch
  redis.call('HSET', meta, 'e', epoch)
end
if meta_ttl ~= '0' then
  redis.call('EXPIRE', meta, meta_ttl)
end
if is_list == '1' then
  return { offset, epoch, redis.call('LRANGE', kept, 0, 0) }
end
return { offset, epoch, redis.call('XREVRANGE', kept, offset, '-', 'COUNT', 1) }
