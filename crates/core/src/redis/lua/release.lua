-- Gives a lease back, if it is still ours: waiters are woken by the push of the deletion.
-- KEYS  1 lease      ARGV  1 token  2 '' or 'F' and the process id after a failed load  3 ms to keep that
-- Returns 1 given back, 0 it was lost. Atomic for the same reason as renew.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
