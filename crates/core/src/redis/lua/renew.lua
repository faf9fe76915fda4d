-- Prolongs a lease that is still ours.
-- KEYS  1 lease      ARGV  1 token  2 lease in ms
-- Returns 1 prolonged, 0 lost. Atomic, because the lease could lapse and be another's between the look and the write.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
