-- Removes one key everywhere: the entry, the lease of a load that began before, and every peer's memory copy.
-- KEYS  1 entry  2 lease  3 vehicle (a key under the tracked prefix: writing and deleting it is the push)
-- Returns 1. Atomic, because a fill between the deletion of the lease and of the entry would survive.
-- Safe when run twice, late or never: it only ever removes.
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('SET', KEYS[3], '')
redis.call('DEL', KEYS[3])
return 1
