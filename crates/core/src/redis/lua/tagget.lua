-- Reads the versions of a tag or a namespace; makes them when they are missing, which invalidates what depended on the lost ones.
-- KEYS  1 versions "removed staled"      ARGV  1 life in ms
-- Returns "removed staled". Atomic, because two processes that miss it must agree on one new pair.
-- Extends the life when less than half is left: versions outlive every entry that carries them.
local pair = redis.call('GET', KEYS[1])
if not pair then
  local time = redis.call('TIME')
  local new = string.format('%.0f', time[1] * 1000000 + time[2])
  pair = new .. ' ' .. new
  redis.call('SET', KEYS[1], pair, 'PX', ARGV[1])
elseif redis.call('PTTL', KEYS[1]) * 2 < tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return pair
