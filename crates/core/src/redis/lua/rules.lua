-- Shared: the number of the latest rule, and until when patterns wait, of a namespace whose versions were lost.
-- Nothing but rules that are still there is younger than `time`, when the versions begin anew.
local function recovered(key, time)
  local latest = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  local waits = 0
  for _, rule in ipairs(redis.call('ZRANGEBYSCORE', key, text(time - 30000000), '+inf')) do
    waits = math.max(waits, tonumber(string.match(rule, '^w(%d+) ')) or 0)
  end
  return math.max(time, tonumber(latest[2]) or 0), waits
end
