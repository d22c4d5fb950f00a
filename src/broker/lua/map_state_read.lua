-- Reads keys of a map, in no order. Those that expired are left to whoever expires them, who tells it. A map with a
-- stream and without an epoch gets one.
--
-- KEYS  state, expiry; with a stream also meta, state meta, stream
-- ARGV  cursor ('0' = from the start), how many to look at ('0' = all), now_ms, meta_ttl_ms ('0' = for ever)
-- Gives offset and epoch, the next cursor ('0' = that was all), keys and values in turn, and the newest change as a read
-- of the stream does.
local state, expiry, meta, state_meta, stream = unpack(KEYS)
local cursor, limit, now, meta_ttl = unpack(ARGV)

local function keep(key)
  if meta_ttl ~= '0' then
    redis.call('PEXPIRE', key, meta_ttl)
  end
end

local offset, epoch, newest = '0', '', {}
if meta then
  local known = redis.call('HMGET', meta, 'e', 's')
  epoch, offset = known[1] or now, known[2] or '0'
  if not known[1] then
    redis.call('HSET', meta, 'e', epoch)
  end
  keep(meta)
  newest = redis.call('XRANGE', stream, offset, offset)
  -- Keys of another epoch do not count.
  if redis.call('HGET', state_meta, 'epoch') ~= epoch then
    return { offset, epoch, '0', {}, newest }
  end
  keep(state_meta)
end
keep(state)
keep(expiry)

if limit == '0' then
  return { offset, epoch, '0', redis.call('HGETALL', state), newest }
end
local found = redis.call('HSCAN', state, cursor, 'COUNT', limit)
return { offset, epoch, found[1], found[2], newest }
