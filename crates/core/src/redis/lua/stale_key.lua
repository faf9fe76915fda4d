-- Marks the entry of one key stale: served inside staleWhileRevalidate, refreshed at the next read.
-- KEYS  1 entry  2 lease  3 vehicle  4 versions, if the key has `version`s      ARGV  1 shortest life in ms
-- Returns 1 when there was an entry, else 0. The mark is the header's byte 3, outside the checksum; SETRANGE keeps the expiry.
-- Atomic, because a load that began before must lose its lease with the mark.
redis.call('UNLINK', KEYS[2])
if redis.call('EXISTS', KEYS[4]) == 1 then renew(KEYS[4], 's', ARGV[1], 0) end
local there = redis.call('EXISTS', KEYS[1])
if there == 1 then redis.call('SETRANGE', KEYS[1], 3, '\1') end
redis.call('SET', KEYS[3], '')
redis.call('DEL', KEYS[3])
return there
