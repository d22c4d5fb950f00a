-- Reads a list. A channel without an epoch gets one.
--
-- KEYS  list, meta
-- ARGV  whether publications are wanted ('1' or '0'), meta_ttl_s ('0' = for ever), fresh epoch
-- Gives offset and epoch of the channel, and frames, newest first.
local list, meta = unpack(KEYS)
local is_wanted, meta_ttl, fresh_epoch = unpack(ARGV)

local known = redis.call('HMGET', meta, 'e', 's')
local epoch, offset = known[1], known[2] or 0
if not epoch then
  epoch, offset = fresh_epoch, 0
  redis.call('HSET', meta, 'e', epoch)
end
if meta_ttl ~= '0' then
  redis.call('EXPIRE', meta, meta_ttl)
end
return { offset, epoch, is_wanted == '1' and redis.call('LRANGE', list, 0, -1) or {} }
