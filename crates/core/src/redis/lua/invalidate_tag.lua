-- Gives a tag or a namespace a new version: every entry that carries another one is invalid (or stale).
-- KEYS  1 versions "removed staled"  2 vehicle      ARGV  1 'r' remove or 's' stale  2 shortest life in ms
-- Returns the new version. The server makes it (its clock, never behind the old one): a client's clock could repeat one.
-- Deletes before it sets: accepted also when Redis is out of memory under noeviction.
local old = redis.call('GET', KEYS[1])
local life = redis.call('PTTL', KEYS[1])
redis.call('DEL', KEYS[1])
local time = redis.call('TIME')
local new = time[1] * 1000000 + time[2]
local removed, staled = string.match(old or '', '^(%d+) (%d+)$')
if removed then new = math.max(new, removed + 1, staled + 1) end
new = string.format('%.0f', new)
if ARGV[1] == 's' and removed then staled = new else removed, staled = new, new end
redis.call('SET', KEYS[1], removed .. ' ' .. staled, 'PX', string.format('%.0f', math.max(life, tonumber(ARGV[2]))))
redis.call('SET', KEYS[2], '')
redis.call('DEL', KEYS[2])
return removed .. ' ' .. staled
