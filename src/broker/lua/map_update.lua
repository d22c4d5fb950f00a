-- Sets or removes a key of a map.
--
-- KEYS  state, expiry; with a stream also stream, meta, state meta; with an idempotency key its result; where keys expire
--       and one is set the registry of maps
-- ARGV  key, publication, stream size ('' = no stream), stream ttl_ms, meta_ttl_ms ('0' = for ever), fresh epoch,
--       PUB/SUB command, PUB/SUB channel ('' = tell nobody), result_ttl_ms ('' = no idempotency key), now_ms,
--       name of the map in the registry ('' = not there), whether it is a removal ('1'); when it is none:
--       key_ttl_ms ('0' = for ever), key mode ('', 'if_new', 'if_exists'), whether a key that is there is renewed ('1'),
--       delta ('1' = tell what the key was along), version ('0' = none), version epoch
-- Gives offset and epoch, and why nothing changed ('' = it did): then of the first one with the idempotency key, or of
-- the newest change.
local key, publication, size, stream_ttl, meta_ttl, fresh_epoch, command, channel, result_ttl, now, name, removal,
  key_ttl, mode, renew, delta, version, version_epoch = unpack(ARGV)
local is_removal, has_stream = removal == '1', size ~= ''

local used = 0
local function next_key(is_there)
  if is_there then
    used = used + 1
    return KEYS[used]
  end
end
local state, expiry = next_key(true), next_key(true)
local stream, meta, state_meta = next_key(has_stream), next_key(has_stream), next_key(has_stream)
local result = next_key(result_ttl ~= '')
local registry = next_key(name ~= '')
local version_field, version_epoch_field = 'v:' .. key, 've:' .. key

local function keep(name_of_key, ttl)
  if ttl ~= '0' then
    redis.call('PEXPIRE', name_of_key, ttl)
  end
end

-- The registry has each map at the moment in which the first of its keys may expire.
local function register(expires_at)
  if registry then
    local registered = redis.call('ZSCORE', registry, name)
    if not registered or tonumber(registered) > expires_at then
      redis.call('ZADD', registry, expires_at, name)
    end
  end
end

if result then
  local first = redis.call('HMGET', result, 's', 'e')
  if first[2] then
    return { first[1], first[2], 'idempotency' }
  end
end

local epoch, offset = fresh_epoch, 0
local function unchanged(reason)
  return { has_stream and redis.call('HGET', meta, 's') or 0, epoch, reason }
end

if has_stream then
  local known = redis.call('HGET', meta, 'e')
  if known then
    epoch = known
  else
    redis.call('HSET', meta, 'e', epoch)
  end
  -- Keys of another epoch outlived it: what Redis evicts goes one by one.
  if redis.call('EXISTS', state) == 1 and redis.call('HGET', state_meta, 'epoch') ~= epoch then
    redis.call('DEL', state, expiry, state_meta)
    if registry then
      redis.call('ZREM', registry, name)
    end
  end
  if not is_removal then
    if version ~= '0' then
      local last = redis.call('HMGET', state_meta, version_field, version_epoch_field)
      local is_comparable = last[1] and (version_epoch == '' or version_epoch == last[2])
      if is_comparable and tonumber(version) <= tonumber(last[1]) then
        return unchanged('version')
      end
    end
    local is_there = mode ~= '' and redis.call('HEXISTS', state, key) == 1
    if mode == 'if_new' and is_there then
      if renew == '1' and key_ttl ~= '0' then
        local expires_at = tonumber(now) + tonumber(key_ttl)
        redis.call('ZADD', expiry, expires_at, key)
        register(expires_at)
        for _, kept in ipairs({ expiry, state, meta }) do
          keep(kept, meta_ttl)
        end
        keep(stream, stream_ttl)
      end
      return unchanged('key_exists')
    elseif mode == 'if_exists' and not is_there then
      return unchanged('key_not_found')
    end
  end
end

if is_removal and redis.call('HEXISTS', state, key) == 0 then
  return unchanged('key_not_found')
end

if has_stream then
  offset = redis.call('HINCRBY', meta, 's', 1)
  keep(meta, meta_ttl)
end

local before
if is_removal then
  redis.call('HDEL', state, key)
  redis.call('ZREM', expiry, key)
  if has_stream then
    redis.call('HDEL', state_meta, version_field, version_epoch_field)
  end
else
  before = delta == '1' and redis.call('HGET', state, key)
  redis.call('HSET', state, key, offset .. ':' .. epoch .. ':' .. publication)
  if key_ttl ~= '0' then
    local expires_at = tonumber(now) + tonumber(key_ttl)
    redis.call('ZADD', expiry, expires_at, key)
    register(expires_at)
  end
  keep(state, meta_ttl)
  keep(expiry, meta_ttl)
  if has_stream then
    redis.call('HSET', state_meta, 'epoch', epoch, 'updated_at', now)
    if version ~= '0' then
      redis.call('HSET', state_meta, version_field, version, version_epoch_field, version_epoch)
    end
    keep(state_meta, meta_ttl)
  end
end

if has_stream then
  if offset == 1 then
    -- A stream that outlived its meta belongs to another epoch, and takes no smaller id.
    redis.call('DEL', stream)
  end
  redis.call('XADD', stream, 'MAXLEN', '~', size, offset, 'e', epoch, 'd', publication)
  keep(stream, stream_ttl)
end

if channel ~= '' then
  local frame
  if before then
    frame = table.concat({ 'd', offset, epoch, #before, before, #publication, publication }, ':')
  else
    frame = offset .. ':' .. epoch .. ':' .. publication
  end
  redis.call(command, channel, frame)
end

if result then
  redis.call('HSET', result, 'e', epoch, 's', offset)
  redis.call('PEXPIRE', result, result_ttl)
end
return { offset, epoch, '' }
