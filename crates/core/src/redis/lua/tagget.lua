-- Reads the versions of a tag or a namespace; makes them when they are missing, which invalidates what depended on the lost ones.
-- KEYS  1 versions  2 rules, of a namespace      ARGV  1 life in ms  2 when the load began, by this clock, at the earliest; 0 now
-- Returns the versions as a load's stamp: times that did not lie ahead of its begin are 0.
-- Atomic, because two processes that miss it must agree on one new pair.
-- Extends the life when less than half is left: versions outlive every entry that carries them.
local removed, staled, wait, rules, waits = versions(KEYS[1])
local time = now()
if not removed then
  removed, staled, wait, rules, waits = time, time, 0, time, 0
  if KEYS[2] then rules, waits = recovered(KEYS[2], time) end
  write(KEYS[1], ARGV[1], removed, staled, wait, rules, waits)
elseif redis.call('PTTL', KEYS[1]) * 2 < tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
local began = ARGV[2] == '0' and time or tonumber(ARGV[2])
return text(removed, staled, wait > began and wait or 0, rules, waits > began and waits or 0)
