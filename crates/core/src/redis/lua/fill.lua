-- Stores a loaded value if the load still holds its lease: a load that an invalidation overtook is refused.
-- KEYS  1 entry  2 lease  3 vehicle      ARGV  1 token  2 envelope  3 life in ms  4 'p' push to peers (they hold an older entry) or ''
-- Returns 1 stored (also when this very fill was stored before), 0 refused. Atomic: the lease is proof only at the moment of the write.
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  redis.call('DEL', KEYS[2])
  if ARGV[4] == 'p' then
    redis.call('SET', KEYS[3], '')
    redis.call('DEL', KEYS[3])
  end
  return 1
end
return redis.call('GETRANGE', KEYS[1], 8, 23) == ARGV[1] and 1 or 0
