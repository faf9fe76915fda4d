-- Shared by the scripts that touch the versions of a tag, a namespace or a key. One key keeps
-- "removed staled until rules waits", µs of this server's clock: the last invalidations of each mode, until when loads are
-- not to be stored, and of a namespace the number of its latest pattern rule, and until when any pattern waits. The
-- server makes every version (its clock, never behind the old one): a client's clock could repeat one.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function text(...)
  local words = { ... }
  for i, word in ipairs(words) do words[i] = string.format('%.0f', word) end
  return table.concat(words, ' ')
end
local function versions(key)
  local r, s, u, n, w = string.match(redis.call('GET', key) or '', '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  return tonumber(r), tonumber(s), tonumber(u), tonumber(n), tonumber(w)
end
-- Deletes before it sets: accepted also when Redis is out of memory under noeviction. `life` in ms, at least.
local function write(key, life, ...)
  life = math.max(redis.call('PTTL', key), tonumber(life))
  redis.call('DEL', key)
  redis.call('SET', key, text(...), 'PX', text(life))
end
-- A new version; `mode` 'r' or 's', `settle` in ms: until then loads are not stored.
local function renew(key, mode, life, settle)
  local removed, staled, wait, rules, waits = versions(key)
  local new = now()
  if removed then new = math.max(new, removed + 1, staled + 1) end
  if mode ~= 's' or not removed then removed = new end
  wait = math.max(wait or 0, now() + tonumber(settle) * 1000)
  write(key, life, removed, new, wait, rules or new, waits or 0)
  return text(removed, new)
end
-- ms until loads of a key are stored again, or 0.
local function settling(key)
  local removed, _, wait = versions(key)
  return removed and math.max(0, math.ceil((wait - now()) / 1000)) or 0
end
