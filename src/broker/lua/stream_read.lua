-- Reads a stream of a channel or of a map, which gets an epoch if it has none.
--
-- KEYS  stream, meta
-- ARGV  first id ('' = the newest one, in reverse only), limit ('0' = the position alone, '-1' = all),
--       reverse ('1' = newest first), fresh epoch, time to live of meta ('0' = for ever), in seconds or with 'PEXPIRE' in
--       milliseconds ('EXPIRE', 'PEXPIRE'), whether a stream without an epoch is dropped ('1')
-- Gives offset and epoch, and entries.
local stream, meta = unpack(KEYS)
local from, limit, reverse, fresh_epoch, meta_ttl, expire, drop = unpack(ARGV)

local known = redis.call('HMGET', meta, 'e', 's')
local epoch, offset = known[1], known[2] or 0
if not epoch then
  epoch, offset = fresh_epoch, 0
  redis.call('HSET', meta, 'e', epoch)
  if drop == '1' then
    redis.call('DEL', stream)
  end
end
if meta_ttl ~= '0' then
  redis.call(expire, meta, meta_ttl)
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
