-- Gives a tag or a namespace a new version: every entry that carries another one is invalid (or stale).
-- KEYS  1 versions  2 vehicle  3 rules, of a namespace      ARGV  1 'r' remove or 's' stale  2 shortest life in ms  3 settle in ms
-- Returns the new version. Safe when run twice, late or never: a version is only ever newer.
if KEYS[3] and not versions(KEYS[1]) then
  local time = now()
  write(KEYS[1], ARGV[2], time, time, 0, recovered(KEYS[3], time))
end
local text = renew(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
redis.call('SET', KEYS[2], '')
redis.call('DEL', KEYS[2])
return text
