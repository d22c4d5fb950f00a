-- Publishes with history in a list, newest first. A list knows no versions.
--
-- KEYS  list, meta; with an idempotency key also its result
-- ARGV  publication, index of the last one kept, ttl_s, meta_ttl_s ('0' = for ever), fresh epoch, PUB/SUB command,
--       PUB/SUB channel ('' = tell nobody), delta ('1' = tell the publication before along), result_ttl_s
-- Gives offset and epoch of the publication, and why there is none ('' = there is): then of the first one with the
-- idempotency key.
local list, meta, result = unpack(KEYS)
local publication, last, ttl, meta_ttl, fresh_epoch, command, channel, delta, result_ttl = unpack(ARGV)

if result then
  local first = redis.call('HMGET', result, 's', 'e')
  if first[2] then
    return { first[1], first[2], 'idempotency' }
  end
end

local epoch = redis.call('HGET', meta, 'e')
if not epoch then
  epoch = fresh_epoch
  redis.call('HSET', meta, 'e', epoch)
end
local offset = redis.call('HINCRBY', meta, 's', 1)
if meta_ttl ~= '0' then
  redis.call('EXPIRE', meta, meta_ttl)
end

local before = ''
if delta == '1' and channel ~= '' then
  -- Centrifugo leaves the frame around the publication before, and then cannot read what it sent.
  before = string.gsub(redis.call('LINDEX', list, 0) or '', '^__p1:%d+:.-__', '')
end

local frame = '__p1:' .. offset .. ':' .. epoch .. '__' .. publication
redis.call('LPUSH', list, frame)
redis.call('LTRIM', list, 0, last)
redis.call('EXPIRE', list, ttl)

if channel ~= '' then
  if delta == '1' then
    frame = table.concat({ '__d1', offset, epoch, #before, before, #publication, publication }, ':')
  end
  redis.call(command, channel, frame)
end

if result then
  redis.call('HSET', result, 'e', epoch, 's', offset)
  redis.call('EXPIRE', result, result_ttl)
end
return { offset, epoch, '' }
