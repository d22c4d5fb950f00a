-- Reads a stream. A channel without an epoch gets one.
--
-- KEYS  stream, meta
-- ARGV  first id ('' = the newest one, in reverse only), limit ('0' = the position alone, '-1' = all),
--       reverse ('1' = newest first), meta_ttl_s ('0' = for ever), fresh epoch
-- Gives offset and epoch of the channel, and entries.
local stream, meta = unpack(KEYS)
local from, limit, reverse, meta_ttl, fresh_epoch = unpack(ARGV)

local known = redis.call('HMGET', meta, 'e', 's')
local epoch, offset = known[1], known[2] or 0
if not epoch then
  epoch, offset = fresh_epoch, 0
  redis.call('HSET', meta, 'e', epoch)
end
if meta_ttl ~= '0' then
  redis.call('EXPIRE', meta, meta_ttl)
end

local entries = {}
if limit ~= '0' then
  local command = { 'XRANGE', stream, from, '+' }
  if reverse == '1' then
    command = { 'XREVRANGE', stream, from ~= '' and from or offset, '-' }
  end
  if limit ~= '-1' then
    table.insert(command, 'COUNT')
    table.insert(command, limit)
  end
  entries = redis.call(unpack(command))
end
return { offset, epoch, entries }
