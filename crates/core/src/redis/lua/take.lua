-- Takes the lease whoever holds it: older loads are fenced off. For `set` (which also removes the entry) and forced refreshes.
-- KEYS  1 entry  2 lease  3 vehicle  4 versions of the key      ARGV  1 token  2 lease in ms  3 'r' remove the entry or 'k' keep it
-- Returns 1, or {4, '', ms left} to a refresh while the source settles. Atomic, because the old holder's fill must be refused from the moment the entry goes.
local left = ARGV[3] == 'k' and settling(KEYS[4]) or 0
if left > 0 then return {4, '', left} end
if ARGV[3] == 'r' then
  redis.call('UNLINK', KEYS[1])
  redis.call('SET', KEYS[3], '')
  redis.call('DEL', KEYS[3])
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
