-- Removes one key everywhere: the entry, the lease of a load that began before, and every peer's memory copy.
-- KEYS  1 entry  2 lease  3 vehicle (a key under the tracked prefix: writing and deleting it is the push)
--       4 versions, of a key that settles or has `version`s: they fall with it      ARGV  1 shortest life in ms  2 settle in ms
-- Returns 1. Atomic, because a fill between the deletion of the lease and of the entry would survive.
-- Safe when run twice, late or never: it only ever removes.
redis.call('UNLINK', KEYS[1], KEYS[2])
if tonumber(ARGV[2]) > 0 or redis.call('EXISTS', KEYS[4]) == 1 then renew(KEYS[4], 'r', ARGV[1], ARGV[2]) end
redis.call('SET', KEYS[3], '')
redis.call('DEL', KEYS[3])
return 1
