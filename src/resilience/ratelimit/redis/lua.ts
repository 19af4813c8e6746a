/**
 * The counts as Redis keeps them: per algorithm, how a count is brought up to now, how permits are taken from it, and how they are given back. All in
 * whole numbers of milliseconds, so that nothing is lost to rounding. One key per count: a decision is one slot of a cluster.
 *
 * Arguments of a take: need, wanted, ahead, then the algorithm's own. `need` is taken whole or not at all, `wanted` as far as the limit goes, `ahead` is a
 * lease on top: no more than a share of what is then left. Reply: taken, ahead granted, left, reset, retry (-1: never), stamp, now, span; in milliseconds.
 * `span`: how long the lease is good for; of a token bucket its debt instead, of which see lease.ts.
 *
 * Arguments of a give-back: cost, stamp and, of a lease, span (of the take; else 0), then the algorithm's own. Conservative: in doubt nothing is given back.
 *
 * The server's clock may jump back. A count then goes on as if it were of now (`late`): nobody gets a second helping, nobody waits longer than one window,
 * or one refill. Such a count is written even when nothing is taken, so that the next window ends it.
 */

/** A lease is at most so many-th a part of what is left, so that many processes find something. */
const LEASE_SHARE = 10;

/** Time is the server's, so that the clocks of the processes do not matter. */
export const SERVER_TIME = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)`;

const GRANT = `
local need, wanted, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local function grant(free)
  if need > free then return 0, 0 end
  local taken = math.min(wanted, free)
  return taken, math.min(ahead, math.floor((free - taken) / ${LEASE_SHARE}))
end`;

const GIVE_BACK = `
local cost, stamp = tonumber(ARGV[1]), tonumber(ARGV[2])`;

/** `debt` has up to 16 digits, of which Lua writes 14; all other numbers have fewer. */
const STATE = `
local key = KEYS[1]
local state = redis.call('GET', key)
local function shown(n) return math.min(math.ceil(n), ${Number.MAX_SAFE_INTEGER}) end`;

/**
 * Debt in units of which a request is `perMs` and a millisecond works off `requests`: GCRA's theoretical arrival time, in whole numbers. Expires when
 * it is worked off, and the bucket full. `leased` is the debt up to the last turn of the last lease, for as long as that may be used (`hold`, 0: no leases);
 * the turns of leases do not move.
 */
const BUCKET = `${STATE}
local requests, per, burst, hold = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local room, debt, late, leased, held = burst * per, 0, false, 0, 0
if state then
  local owed, at, of, ms = string.match(state, '(%d+) (%d+) (%d+) (%d+)')
  local passed = now - at
  late = passed < 0
  passed = math.max(0, passed)
  debt = math.min(math.max(0, owed - passed * requests), room)
  held = math.max(0, ms - passed)
  if held > 0 then leased = math.min(math.max(0, of - passed * requests), debt) end
end
local function save()
  if debt == 0 then return redis.call('DEL', key) end
  redis.call('SET', key, string.format('%.0f %.0f %.0f %.0f', debt, now, leased, held), 'PX', math.max(1, shown(debt / requests)))
end`;

const BUCKET_TAKE = `
local taken, extra = grant(requests > 0 and math.floor((room - debt) / per) or 0)
debt = debt + (taken + extra) * per
if hold > 0 and taken + extra > 0 then leased, held = debt, math.max(held, hold) end
if late or taken + extra > 0 then save() end
local retry = 0
if need > taken then
  retry = -1
  if requests > 0 and need <= burst then retry = (debt + need * per - room) / requests end
end
local left = requests > 0 and math.floor((room - debt) / per) or 0
local reset = requests > 0 and debt / requests or 0
return {taken, extra, left, shown(reset), shown(retry), now, now, shown(debt)}`;

/**
 * What the bucket has since worked off anyway is not given back: it may have been full in between. Nor what stands before the turns of a lease: who takes
 * next would get them a second time. The last lease itself ends where the last of its turns that were used does.
 */
const BUCKET_GIVE_BACK = `
local ends = tonumber(ARGV[3])
if ends > 0 and not late and ends - (now - stamp) * requests == leased then leased = math.max(0, leased - cost * per) end
debt = math.max(leased, debt - math.max(0, cost * per - math.max(0, now - stamp) * requests))
if state then save() end`;

/** Of the window from \`first\` to \`last\`. */
const WINDOW = `
local count, late = 0, false
if state then
  local of, counted = string.match(state, '(%d+) (%d+)')
  of = tonumber(of)
  if of >= first then count, late = tonumber(counted), of > first end
end
local function save() redis.call('SET', key, first .. ' ' .. count, 'PX', last - now) end`;

const FIXED = `${STATE}
local requests, per = tonumber(ARGV[4]), tonumber(ARGV[5])
local first = now - now % per
local last = first + per
${WINDOW}`;

/** The caller names the beginnings of three windows that follow each other; when it is now none of the first two, it is told what time it is. */
const CALENDAR = `${STATE}
local requests = tonumber(ARGV[4])
local first, last = tonumber(ARGV[5]), tonumber(ARGV[6])
if now >= last then first, last = last, tonumber(ARGV[7]) end
if now < first or now >= last then return {-1, 0, 0, 0, 0, 0, now, 0} end
${WINDOW}`;

const WINDOW_TAKE = `
local taken, extra = grant(math.max(0, requests - count))
count = count + taken + extra
if late or taken + extra > 0 then save() end
local retry = 0
if need > taken then retry = need <= requests and last - now or -1 end
return {taken, extra, math.max(0, requests - count), count > 0 and last - now or 0, retry, first, now, last - now}`;

const WINDOW_GIVE_BACK = `
if state and not late and stamp == first then
  count = math.max(0, count - cost)
  save()
end`;

/** The window before counts in the share that it still covers. */
const SLIDING = `${STATE}
local requests, per = tonumber(ARGV[4]), tonumber(ARGV[5])
local passed = now % per
local first = now - passed
local room, count, before, late = requests * per, 0, 0, false
if state then
  local of, counted, earlier = string.match(state, '(%d+) (%d+) (%d+)')
  of = tonumber(of)
  if of >= first then
    count, before, late = tonumber(counted), tonumber(earlier), of > first
  elseif of == first - per then
    before = tonumber(counted)
  end
end
local function save() redis.call('SET', key, first .. ' ' .. count .. ' ' .. before, 'PX', 2 * per - passed) end`;

const SLIDING_TAKE = `
local function free() return math.max(0, math.floor((room - before * (per - passed)) / per) - count) end
local taken, extra = grant(free())
count = count + taken + extra
if late or taken + extra > 0 then save() end
local reset = 0
if count > 0 then reset = 2 * per - passed elseif before > 0 then reset = per - passed end
local retry = 0
if need > taken then
  if need > requests then
    retry = -1
  elseif count + need <= requests then
    retry = per - math.floor((room - (count + need) * per) / before) - passed
  else
    retry = per - passed + math.max(0, per - math.floor((room - need * per) / count))
  end
end
return {taken, extra, free(), reset, retry, first, now, per - passed}`;

const SLIDING_GIVE_BACK = `
if late then
  return
elseif stamp == first then
  count = math.max(0, count - cost)
  save()
elseif stamp == first - per then
  before = math.max(0, before - cost)
  save()
end`;

/**
 * A list: how many in all and when that was written, then `time requests` for each millisecond that had some, oldest first. A lease counts from the last
 * moment at which it may be used (`hold` from now), and so do those that come after it: the list stays in order, and no span ever holds more than it should.
 * Where the clock has jumped back, what had been is of now, and what was to come is as far off as it was.
 */
const LOG = `
local requests, per, hold = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local key = KEYS[1]
local function entry(index)
  local text = redis.call('LINDEX', key, index)
  if not text then return end
  local at, n = string.match(text, '(%d+) (%d+)')
  return tonumber(at), tonumber(n)
end
local function text(at, n) return at .. ' ' .. n end
local total, written = 0, now
local head = redis.call('LPOP', key)
if head then
  total, written = string.match(head, '(%d+) (%d+)')
  total, written = tonumber(total), tonumber(written)
end
if written > now then
  local all = redis.call('LRANGE', key, 0, -1)
  redis.call('DEL', key)
  for _, each in ipairs(all) do
    local at, of = string.match(each, '(%d+) (%d+)')
    at = tonumber(at)
    redis.call('RPUSH', key, text(at > written and at - written + now or math.min(at, now), tonumber(of)))
  end
end
local oldest, n = entry(0)
while oldest and oldest + per <= now do
  redis.call('LPOP', key)
  total = total - n
  oldest, n = entry(0)
end
local newest = entry(-1)
local function add(at, number)
  if number == 0 then return end
  at = math.max(at, newest or at)
  if newest == at then
    local _, of = entry(-1)
    redis.call('LSET', key, -1, text(at, of + number))
  else
    redis.call('RPUSH', key, text(at, number))
  end
  newest = at
  total = total + number
end
local function save()
  if total == 0 then return end
  redis.call('LPUSH', key, text(total, now))
  redis.call('PEXPIRE', key, newest + per - now)
end`;

const LOG_TAKE = `
local retry = 0
local taken, extra = grant(math.max(0, requests - total))
if need > taken then
  retry = -1
  if need <= requests then
    local over = total + need - requests
    for _, each in ipairs(redis.call('LRANGE', key, 0, over - 1)) do
      local at, of = string.match(each, '(%d+) (%d+)')
      over = over - tonumber(of)
      retry = tonumber(at) + per - now
      if over <= 0 then break end
    end
  end
end
add(now, taken)
add(now + hold, extra)
save()
return {taken, extra, math.max(0, requests - total), newest and newest + per - now or 0, retry, now, now, hold}`;

/** From the oldest: what stays is as new as what was taken, or newer. */
const LOG_GIVE_BACK = `
if stamp + per > now then
  while cost > 0 do
    local at, of = entry(0)
    if not at then break end
    local less = math.min(cost, of)
    if less == of then redis.call('LPOP', key) else redis.call('LSET', key, 0, text(at, of - less)) end
    cost, total = cost - less, total - less
  end
end
save()`;

export const ALGORITHMS = {
  token_bucket: { take: GRANT + BUCKET + BUCKET_TAKE, giveBack: GIVE_BACK + BUCKET + BUCKET_GIVE_BACK },
  fixed_window: { take: GRANT + FIXED + WINDOW_TAKE, giveBack: GIVE_BACK + FIXED + WINDOW_GIVE_BACK },
  calendar: { take: GRANT + CALENDAR + WINDOW_TAKE, giveBack: GIVE_BACK + CALENDAR + WINDOW_GIVE_BACK },
  sliding_window: { take: GRANT + SLIDING + SLIDING_TAKE, giveBack: GIVE_BACK + SLIDING + SLIDING_GIVE_BACK },
  sliding_log: { take: GRANT + LOG + LOG_TAKE, giveBack: GIVE_BACK + LOG + LOG_GIVE_BACK },
} as const;
