-- Take in what a flush says of some hosts: open circuits, close them, note who is slow.
--
-- KEYS, all in one hash slot:
--   1  version: a counter that moves whenever one of the three sets below gains or loses a host
--   2  watched: sorted set of hosts that failed lately; their successes are worth a report
--   3  barred: sorted set of hosts whose circuit is open, or that asked for a pause
--   4  slow: sorted set of hosts that belong on the slow lane
--      in all three the score is the moment at which the host drops out by itself
--   5… one hash per host:
--        good, bad      answers and failures since `since`, the begin of the present window
--        row            failures since the last answer
--        latency        moving average of the time to an answer
--        pause, until   the circuit is open for `pause`, which ends at `until`; after that it is
--                       half open: one probe may go. No `pause`: closed.
--        opened         when the circuit was last closed
--        probe          until when the probe that is under way counts
--        quiet          the host asked for a pause (Retry-After) until then
--
-- ARGV[1]: JSON
--   known    the version that the caller knows
--   breaker  null, or {failures, share, least, window, pause, longest}
--   slow     a host whose average is above this is slow
--   hosts    [[name, good, bad, row, answered, latency, quiet, busy], …] in the order of KEYS: answers
--            and failures, failures after the last answer, whether there was an answer at all (1),
--            mean time to an answer, the pause asked for, whether its POSTs pile up (1)
--
-- All times are in microseconds. Returns {version}, or {version, watched, barred, slow} if the
-- caller knows another version.

local told = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local breaker = told.breaker ~= cjson.null and told.breaker or nil
local WATCHED, BARRED, SLOW = KEYS[2], KEYS[3], KEYS[4]
local KEEP = 3600 * 1000000
local WEIGHT = 0.2
local changed = 0

local function text(number) return string.format('%.0f', number) end

local function put(set, name, ends)
  local score = math.max(ends, tonumber(redis.call('ZSCORE', set, name) or 0))
  changed = changed + redis.call('ZADD', set, text(score), name)
end

local function drop(set, name)
  changed = changed + redis.call('ZREM', set, name)
end

local function read(key)
  local names = {'good', 'bad', 'row', 'since', 'latency', 'pause', 'until', 'quiet', 'opened'}
  local values = redis.call('HMGET', key, unpack(names))
  local host = {}
  for place, name in ipairs(names) do host[name] = tonumber(values[place] or 0) end
  return host
end

local function count(host, seen)
  if now - host.since > breaker.window then
    host.good, host.bad, host.since = 0, 0, now
  end
  host.good = host.good + seen.good
  host.bad = host.bad + seen.bad
  host.row = (seen.answered == 1) and seen.row or host.row + seen.bad
end

local function trips(host)
  local all = host.good + host.bad
  return host.row >= breaker.failures
    or (all >= breaker.least and host.bad >= breaker.share * all)
end

local function open(key, host, name, pause)
  if host.pause == 0 then host.opened = now end
  host.pause, host['until'] = pause, now + pause
  redis.call('HDEL', key, 'probe')
  put(BARRED, name, now + pause + KEEP)
  put(SLOW, name, now + pause + KEEP)
end

local function close(key, host, name)
  host.pause, host.row, host.good, host.bad = 0, 0, 0, 0
  redis.call('HDEL', key, 'probe')
  drop(BARRED, name)
  drop(SLOW, name)
end

local function judge(key, host, name, seen)
  if host.pause == 0 then
    count(host, seen)
    if seen.bad > 0 and trips(host) then open(key, host, name, breaker.pause) end
  elseif host['until'] <= now then
    -- Half open: this is what became of the probe.
    if seen.answered == 1 then
      close(key, host, name)
    elseif seen.bad > 0 then
      open(key, host, name, math.min(host.pause * 2, breaker.longest))
    end
  end
  if seen.bad > 0 then put(WATCHED, name, now + breaker.window) end
end

local function clock(host, name, seen)
  if seen.latency > 0 then
    host.latency = (host.latency == 0) and seen.latency
      or host.latency + WEIGHT * (seen.latency - host.latency)
  end
  if seen.busy == 1 or host.latency > told.slow then
    put(SLOW, name, now + KEEP / 12)
  elseif host.pause == 0 then
    drop(SLOW, name)
  end
end

for place, row in ipairs(told.hosts) do
  local key, name = KEYS[4 + place], row[1]
  local seen = {
    good = row[2], bad = row[3], row = row[4], answered = row[5],
    latency = row[6], quiet = row[7], busy = row[8],
  }
  local host = read(key)
  if breaker then judge(key, host, name, seen) end
  clock(host, name, seen)
  if seen.quiet > 0 then
    host.quiet = math.max(host.quiet, now + seen.quiet)
    put(BARRED, name, host.quiet)
  end
  local fields = {}
  for field, value in pairs(host) do
    fields[#fields + 1] = field
    fields[#fields + 1] = text(value)
  end
  redis.call('HSET', key, unpack(fields))
  local ends = math.max(host['until'] + KEEP, host.quiet, now + KEEP)
  redis.call('PEXPIRE', key, math.ceil((ends - now) / 1000))
end

for _, set in ipairs({WATCHED, BARRED, SLOW}) do
  changed = changed + redis.call('ZREMRANGEBYSCORE', set, '-inf', text(now))
end
local version = tonumber(redis.call('GET', KEYS[1]) or 0)
if changed > 0 then version = redis.call('INCR', KEYS[1]) end
if version == told.known then return {version} end
return {
  version,
  redis.call('ZRANGE', WATCHED, 0, -1),
  redis.call('ZRANGE', BARRED, 0, -1),
  redis.call('ZRANGE', SLOW, 0, -1),
}
