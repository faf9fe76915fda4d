-- Reads the rules with a greater number.
-- KEYS  1 rules      ARGV  1 number
-- Returns {floor or '' when the set was lost, rule, number, rule, number…}, oldest first. Atomic, because rules are trimmed.
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'WITHSCORES')
table.insert(found, 1, redis.call('ZSCORE', KEYS[1], 'floor') or '')
return found
