-- Adds a rule: entries whose loads began before it, and whose keys match it, are invalid (or stale).
-- KEYS  1 versions of the namespace  2 rules, a sorted set by number  3 vehicle
-- ARGV  1 mode and pattern  2 shortest life in ms  3 settle in ms (numbered ahead: loads begun meanwhile are older)
--       4 rules kept at most  5 their age at most in ms
-- Returns the rule's number. Equal rules are one, with the latest number. `floor` is the highest number no longer kept: older
-- entries cannot be judged, and are invalid. A set that was lost has no `floor`: so it begins at the number before it.
redis.call('DEL', KEYS[3])
local removed, staled, wait, head = read(KEYS[1])
if not removed then
  removed, staled, wait, head = now(), now(), 0, now()
end
local number = math.max(now() + tonumber(ARGV[3]) * 1000, head + 1)
local floor = tonumber(redis.call('ZSCORE', KEYS[2], 'floor')) or head
redis.call('ZREMRANGEBYSCORE', KEYS[2], string.format('%.0f', number), '+inf')
redis.call('ZADD', KEYS[2], string.format('%.0f', number), ARGV[1])
local old = now() - tonumber(ARGV[5]) * 1000
local beyond = redis.call('ZREVRANGE', KEYS[2], ARGV[4], ARGV[4], 'WITHSCORES')
if beyond[2] then old = math.max(old, tonumber(beyond[2])) end
local cut = redis.call('ZREVRANGEBYSCORE', KEYS[2], string.format('%.0f', old), '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
if cut[2] then floor = math.max(floor, tonumber(cut[2])) end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', old))
redis.call('ZADD', KEYS[2], string.format('%.0f', floor), 'floor')
write(KEYS[1], removed, staled, wait, number, ARGV[2])
redis.call('PEXPIRE', KEYS[2], string.format('%.0f', math.max(redis.call('PTTL', KEYS[2]), tonumber(ARGV[2]))))
redis.call('SET', KEYS[3], '')
redis.call('DEL', KEYS[3])
return string.format('%.0f', number)
