-- Publishes with history in a stream.
--
-- KEYS  stream, meta; with an idempotency key also its result
-- ARGV  publication, size, ttl_s, meta_ttl_s ('0' = for ever), fresh epoch, PUB/SUB command, PUB/SUB channel ('' = tell
--       nobody), delta ('1' = tell the publication before along), version ('0' = none), version epoch, result_ttl_s
-- Gives offset and epoch of the publication, and why there is none ('' = there is): then of the first one with the
-- idempotency key, or of the newest one when the version is not newer than the last.
local stream, meta, result = unpack(KEYS)
local publication, size, ttl, meta_ttl, fresh_epoch, command, channel, delta, version, version_epoch, result_ttl =
  unpack(ARGV)

if result then
  local first = redis.call('HMGET', result, 's', 'e')
  if first[2] then
    return { first[1], first[2], 'idempotency' }
  end
end

local known = redis.call('HMGET', meta, 'e', 's', 'v', 've')
local epoch, last_version = known[1], known[3]
if not epoch then
  epoch = fresh_epoch
  redis.call('HSET', meta, 'e', epoch)
end

if version ~= '0' then
  local is_comparable = last_version and (version_epoch == '' or version_epoch == known[4])
  if is_comparable and tonumber(version) <= tonumber(last_version) then
    return { known[2] or 0, epoch, 'version' }
  end
  redis.call('HSET', meta, 'v', version, 've', version_epoch)
end

local offset = redis.call('HINCRBY', meta, 's', 1)
if meta_ttl ~= '0' then
  redis.call('EXPIRE', meta, meta_ttl)
end

local before = ''
if offset == 1 then
  -- A stream that outlived its meta belongs to another epoch, and takes no smaller id.
  redis.call('DEL', stream)
elseif delta == '1' then
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  local fields = newest and newest[2] or {}
  for at = 1, #fields, 2 do
    if fields[at] == 'd' then
      before = fields[at + 1]
      break
    end
  end
end

redis.call('XADD', stream, 'MAXLEN', size, offset, 'd', publication)
redis.call('EXPIRE', stream, ttl)

if channel ~= '' then
  local frame
  if delta == '1' then
    frame = table.concat({ '__d1', offset, epoch, #before, before, #publication, publication }, ':')
  else
    frame = '__p1:' .. offset .. ':' .. epoch .. '__' .. publication
  end
  redis.call(command, channel, frame)
end

if result then
  redis.call('HSET', result, 'e', epoch, 's', offset)
  redis.call('EXPIRE', result, result_ttl)
end
return { offset, epoch, '' }
