-- Reads one key of a map.
--
-- KEYS  state; with a stream also meta
-- ARGV  key
-- Gives offset and epoch (nothing and '' when there is none), and the value.
local state, meta = unpack(KEYS)
local known = meta and redis.call('HMGET', meta, 's', 'e') or {}
return { known[1] or false, known[2] or '', redis.call('HGET', state, ARGV[1]) }
