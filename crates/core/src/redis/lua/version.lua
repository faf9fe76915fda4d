-- Shared by the scripts below that touch the versions of a tag, a namespace or a key with `version`s. One key keeps
-- "removed staled until rules", µs of this server's clock: the last invalidations of each mode, until when loads
-- are not to be stored, and the number of the latest pattern rule (of a namespace). The server makes every version (its
-- clock, never behind the old one): a client's clock could repeat one.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function read(key)
  local r, s, u, n = string.match(redis.call('GET', key) or '', '^(%d+) (%d+) (%d+) (%d+)$')
  return tonumber(r), tonumber(s), tonumber(u), tonumber(n)
end
-- Deletes before it sets: accepted also when Redis is out of memory under noeviction. `life` in ms, at least.
local function write(key, removed, staled, wait, rules, life)
  local text = string.format('%.0f %.0f %.0f %.0f', removed, staled, wait, rules)
  life = math.max(redis.call('PTTL', key), tonumber(life))
  redis.call('DEL', key)
  redis.call('SET', key, text, 'PX', string.format('%.0f', life))
  return text
end
-- A new version; `mode` 'r' or 's', `settle` in ms: until then loads are not stored.
local function renew(key, mode, life, settle)
  local removed, staled, wait, rules = read(key)
  local new = now()
  if removed then new = math.max(new, removed + 1, staled + 1) end
  if mode ~= 's' or not removed then removed = new end
  wait = math.max(wait or 0, now() + tonumber(settle) * 1000)
  return write(key, removed, new, wait, rules or new, life)
end
