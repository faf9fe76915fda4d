-- Reads the versions of a tag or a namespace; makes them when they are missing, which invalidates what depended on the lost ones.
-- KEYS  1 versions      ARGV  1 life in ms
-- Returns the versions as a load's stamp: `until` is 0 unless it lies ahead, `rules` is never ahead.
-- Atomic, because two processes that miss it must agree on one new pair.
-- Extends the life when less than half is left: versions outlive every entry that carries them.
local removed, staled, wait, rules = read(KEYS[1])
local time = now()
if not removed then
  removed, staled, wait, rules = time, time, 0, time
  write(KEYS[1], removed, staled, wait, rules, ARGV[1])
elseif redis.call('PTTL', KEYS[1]) * 2 < tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
if wait <= time then wait = 0 end
return string.format('%.0f %.0f %.0f %.0f', removed, staled, wait, math.min(rules, time))
