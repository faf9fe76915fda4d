-- Adds a rule: entries whose loads began before it, and whose keys match it, are invalid (or stale).
-- KEYS  1 versions of the namespace  2 rules, a sorted set by number  3 vehicle
-- ARGV  1 mode ('r' or 's') and pattern  2 shortest life in ms  3 settle in ms  4 rules kept at most  5 their age at least in ms
-- Returns the rule's number. Equal rules are one, with the latest number. `floor` is the highest number no longer kept: older
-- entries cannot be judged, and are invalid. A set that was lost has no `floor`: so it begins at the number before it.
-- Beside a rule whose source settles lies 'w', until when, and the pattern.
redis.call('DEL', KEYS[3])
local removed, staled, wait, rules, waits = versions(KEYS[1])
if not removed then
  removed = now()
  staled, wait = removed, 0
  rules, waits = recovered(KEYS[2], removed)
end
local number = text(math.max(now(), rules + 1))
local floor = tonumber(redis.call('ZSCORE', KEYS[2], 'floor')) or rules
redis.call('ZADD', KEYS[2], number, ARGV[1])
if ARGV[3] ~= '0' then
  local ends = now() + tonumber(ARGV[3]) * 1000
  waits = math.max(waits, ends)
  redis.call('ZADD', KEYS[2], number, 'w' .. text(ends) .. ' ' .. string.sub(ARGV[1], 2))
end
local life = math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[2]))
local old = now() - math.max(life, tonumber(ARGV[5])) * 1000
local beyond = redis.call('ZREVRANGE', KEYS[2], ARGV[4], ARGV[4], 'WITHSCORES')
if beyond[2] then old = math.max(old, tonumber(beyond[2])) end
local cut = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', text(old), 'WITHSCORES')
for at = 1, #cut, 2 do
  floor = math.max(floor, tonumber(cut[at + 1]))
  -- Whom it was for is forgotten: until then nothing is kept.
  wait = math.max(wait, tonumber(string.match(cut[at], '^w(%d+) ')) or 0)
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(old))
redis.call('ZADD', KEYS[2], text(floor), 'floor')
redis.call('PEXPIRE', KEYS[2], text(life))
write(KEYS[1], ARGV[2], removed, staled, wait, number, waits)
redis.call('SET', KEYS[3], '')
redis.call('DEL', KEYS[3])
return number
