-- Reads an entry, or takes the lease to load it.
-- KEYS  1 entry  2 lease  3 versions of the key      ARGV  1 token  2 lease in ms  3 id of an entry that is of no use, or ''  4 process id  5 last byte to read
-- Returns {1, the entry's first bytes}, {2, token} lease granted, {3, lease, ms left} held by another (F…: a load failed lately), or
-- {4, '', ms left}: loads are not stored meanwhile, the source settles.
-- Atomic, because between a look at the entry and the lease another process could fill it and be loaded again.
-- A new token per attempt, never resent: an attempt that ran late leaves an orphan for one short lease only.
-- Over its own F a process may try again; that token ends in R: who waited for the failed load does not wait again.
local entry = redis.call('GETRANGE', KEYS[1], 0, ARGV[5])
if entry ~= '' and (ARGV[3] == '' or string.sub(entry, 9, 24) ~= ARGV[3]) then return {1, entry} end
local lease = redis.call('GET', KEYS[2])
local token = ARGV[1]
if lease == 'F' .. ARGV[4] then
  token = string.sub(token, 1, 15) .. 'R'
elseif lease then
  return {3, lease, redis.call('PTTL', KEYS[2])}
end
local left = settling(KEYS[3])
if left > 0 then return {4, '', left} end
redis.call('SET', KEYS[2], token, 'PX', ARGV[2])
return {2, token}
