-- Ask, for every pair of a batch, whether it may be sent now: one call, on the server's clock.
--
-- KEYS, all in one hash slot:
--   first `limits` of them: one per rate limit, a string: the moment at which the limit is back at
--     rest (GCRA's theoretical arrival time). It expires when that moment has passed.
--   the rest: one per host, the hash that report.lua documents; only `probe` is written here.
--
-- ARGV[1]: JSON
--   hold     a pair whose slot is no further away than this is sent, held back until then
--   horizon  a slot further away than this is not given out
--   lease    a probe is given up after this
--   limits   [[period, tolerance], …], the time between two slots, and how far slots may be early
--   pairs    [[host, hook limit, host limit, global limit, granted], …], the first four as places in
--            the lists above, 0 for none; `granted` has a bit for each limit (1, 2, 4) that gave
--            the pair a slot before
--
-- All times are in microseconds. Returns two numbers a pair: how long to wait, and
--   0          it may be sent, after that wait
--   1 to 7     it has a slot then, granted by these limits, and is to come back for it
--   8          the host's circuit is open      9   the host asked for a pause
--   10         its slot would lie beyond the horizon

local asked = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local count = #asked.limits
local OPEN, PAUSED, BEYOND = 8, 9, 10

local rests, taken, hosts, probing = {}, {}, {}, {}

local function rest(limit)
  if not rests[limit] then
    rests[limit] = math.max(now, tonumber(redis.call('GET', KEYS[limit]) or 0))
  end
  return rests[limit]
end

local function wait_for(limit)
  return math.max(0, rest(limit) - asked.limits[limit][2] - now)
end

local function take(limit)
  rests[limit] = rest(limit) + asked.limits[limit][1]
  taken[limit] = true
end

local function host(place)
  if not hosts[place] then
    local row = redis.call('HMGET', KEYS[count + place], 'quiet', 'pause', 'until', 'probe')
    hosts[place] = {
      quiet = tonumber(row[1] or 0),
      pause = tonumber(row[2] or 0),
      ends = tonumber(row[3] or 0),
      probe = tonumber(row[4] or 0),
    }
  end
  return hosts[place]
end

-- How long a host is closed to everybody, and why; a host that may be probed is not.
local function closed(place)
  local one = host(place)
  if one.quiet > now then return one.quiet - now, PAUSED end
  if one.pause == 0 then return 0 end
  if one.ends > now then return one.ends - now, OPEN end
  if one.probe > now then return one.probe - now, OPEN end
  return 0
end

local function sent(place)
  local one = host(place)
  if one.pause > 0 then
    one.probe = now + asked.lease
    probing[place] = one.probe
  end
end

local function admit(pair)
  local wait, why = closed(pair[1])
  if wait > 0 then return wait, why end
  local longest, slowest, bits = 0, 0, 0
  for number = 1, 3 do
    local limit, bit_of = pair[number + 1], 2 ^ (number - 1)
    if limit > 0 and math.floor(pair[5] / bit_of) % 2 == 0 then
      local own = wait_for(limit)
      if own > longest then longest, slowest, bits = own, limit, bit_of end
    end
  end
  if longest > asked.horizon then return longest, BEYOND end
  if longest > asked.hold then
    take(slowest)
    return longest, pair[5] + bits
  end
  for number = 1, 3 do
    local limit, bit_of = pair[number + 1], 2 ^ (number - 1)
    if limit > 0 and math.floor(pair[5] / bit_of) % 2 == 0 then take(limit) end
  end
  sent(pair[1])
  return longest, 0
end

local answer = {}
for _, pair in ipairs(asked.pairs) do
  local wait, verdict = admit(pair)
  answer[#answer + 1] = math.ceil(wait)
  answer[#answer + 1] = verdict
end

for limit in pairs(taken) do
  local left = math.ceil((rests[limit] - now) / 1000) + 1
  redis.call('SET', KEYS[limit], string.format('%.0f', rests[limit]), 'PX', left)
end
for place, ends in pairs(probing) do
  redis.call('HSET', KEYS[count + place], 'probe', string.format('%.0f', ends))
end
return answer
