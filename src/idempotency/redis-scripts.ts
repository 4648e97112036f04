import { createHash } from 'node:crypto'

/** A Lua script, and the SHA-1 that EVALSHA knows it by. */
export interface RedisScript {
  readonly lua: string
  readonly sha: string
}

/**
 * The verbs, each one atomic script on one hash. Its fields: state (claimed, dispatched, uncertain,
 * done, failed, free), owner, fence, fp, unc ('rerun' or 'fail'), lease and exp (Unix milliseconds on
 * the server's clock, which TIME tells), left_fence, left_notice and left_until of a notice, and the
 * outcome's result or refusal. PEXPIREAT removes it when exp is over. Every answer is a list of
 * strings; 'damaged' is a hash that is none of ours.
 *
 * They are the steps of record.ts in another language; the conformance suite holds the two together.
 * That TIME is read and then written needs the effects of scripts to be replicated, not the scripts:
 * so it is by default from Redis 5 on.
 */
const READ = `
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end

local found = redis.call('HMGET', key, 'state', 'owner', 'fence', 'fp', 'unc', 'lease', 'exp',
  'left_fence', 'left_notice', 'left_until')
local state, owner, fp, unc = found[1], found[2], found[4], found[5]
local fence, lease, exp = tonumber(found[3]), tonumber(found[6]), tonumber(found[7])
local left_fence, left_notice, left_until = found[8], found[9], tonumber(found[10])
if redis.call('EXISTS', key) == 0 then
  state = nil
else
  local known = { claimed = 1, dispatched = 1, uncertain = 1, done = 1, failed = 1, free = 1 }
  local whole = state and known[state] and owner and fence and fp and lease and exp
    and (unc == 'rerun' or unc == 'fail')
  if not whole then return { 'damaged' } end
  if exp <= now then
    redis.call('DEL', key)
    state, left_until = nil, nil
  end
end
local function expire(at)
  redis.call('HSET', key, 'exp', text(at))
  redis.call('PEXPIREAT', key, text(at))
end
local leased = (state == 'claimed' or state == 'dispatched') and now < lease
local settled = state == 'done' or state == 'failed'
`

/** ARGV: owner, fence. */
const HELD = `${READ}
local mine = state and owner == ARGV[1] and fence == tonumber(ARGV[2])
local held = mine and not settled and state ~= 'free'
`

const LEASE = `
local function hold(forMs)
  local untilMs = now + forMs
  redis.call('HSET', key, 'lease', text(untilMs))
  expire(math.max(exp, untilMs))
end
`

const SETTLE = `
local function settle(as, outcome, ttl)
  redis.call('HSET', key, 'state', as, as == 'done' and 'result' or 'refusal', outcome)
  expire(now + ttl)
end
`

type Verb =
  | 'claim'
  | 'heartbeat'
  | 'dispatch'
  | 'complete'
  | 'release'
  | 'markUncertain'
  | 'resolve'

export const SCRIPTS: Readonly<Record<Verb, RedisScript>> = {
  // ARGV: fingerprint, owner, leaseMs, onUncertain, ttlMs, waitedFor or ''
  claim: script(`${READ}${LEASE}
local lease_ms, ttl = tonumber(ARGV[3]), tonumber(ARGV[5])
local function take(policy)
  local next = state and fence + 1 or 1
  redis.call('HDEL', key, 'result', 'refusal')
  redis.call('HSET', key, 'state', 'claimed', 'owner', ARGV[2], 'fence', text(next), 'fp', ARGV[1],
    'unc', policy, 'lease', text(now + lease_ms))
  expire(now + math.max(ttl, lease_ms))
  return { 'owned', text(next), policy }
end
if not state then return take(ARGV[4]) end
if fp ~= ARGV[1] and state ~= 'free' then
  if state == 'failed' then return take(ARGV[4]) end
  return { 'mismatch' }
end
if state == 'done' then return { 'done', redis.call('HGET', key, 'result') or '' } end
if state == 'failed' then return { 'failed', redis.call('HGET', key, 'refusal') or '' } end
if left_until and now < left_until and left_fence == ARGV[6] then return { 'left', left_notice or '' } end
if state == 'free' then return take(ARGV[4]) end
if ARGV[4] == 'fail' and unc ~= 'fail' then
  unc = 'fail'
  redis.call('HSET', key, 'unc', unc)
end
if state ~= 'uncertain' and owner == ARGV[2] then
  hold(lease_ms)
  return { 'owned', text(fence), unc }
end
if leased then return { 'busy', text(fence), text(lease - now) } end
if state == 'claimed' or (state == 'dispatched' and unc == 'rerun') then return take(unc) end
if state == 'dispatched' then
  redis.call('HSET', key, 'state', 'uncertain')
  expire(now + ttl)
end
return { 'uncertain' }
`),
  // ARGV: owner, fence, leaseMs
  heartbeat: script(`${HELD}${LEASE}
if not held or state == 'uncertain' then return { 'no' } end
hold(tonumber(ARGV[3]))
return { 'yes' }
`),
  dispatch: script(`${HELD}
if not held or not leased then return { 'no' } end
redis.call('HSET', key, 'state', 'dispatched')
return { 'yes' }
`),
  // ARGV: owner, fence, 'done' or 'failed', result or refusal, ttlMs
  complete: script(`${HELD}${SETTLE}
if not mine or state == 'free' then return { 'no' } end
if not settled then settle(ARGV[3], ARGV[4], tonumber(ARGV[5])) end
return { 'yes' }
`),
  // ARGV: owner, fence, notice or '', noticeMs
  release: script(`${HELD}
if not held then return { 'no' } end
if ARGV[3] ~= '' then
  left_until = now + tonumber(ARGV[4])
  redis.call('HSET', key, 'left_fence', text(fence), 'left_notice', ARGV[3], 'left_until', text(left_until))
end
if not left_until or left_until <= now then
  redis.call('DEL', key)
  return { 'yes' }
end
redis.call('HSET', key, 'state', 'free')
expire(left_until)
return { 'yes' }
`),
  // ARGV: owner, fence, ttlMs
  markUncertain: script(`${HELD}
if not held then return { 'no' } end
redis.call('HSET', key, 'state', 'uncertain')
expire(now + tonumber(ARGV[3]))
return { 'yes' }
`),
  // ARGV: 'rerun', 'done' or 'failed'; result or refusal; ttlMs
  resolve: script(`${READ}${SETTLE}
if state ~= 'uncertain' then return { 'no' } end
if ARGV[1] == 'rerun' then
  redis.call('DEL', key)
  return { 'yes' }
end
-- Nobody's: the owner that left it uncertain must not take this outcome for its own.
redis.call('HSET', key, 'owner', '')
settle(ARGV[1], ARGV[2], tonumber(ARGV[3]))
return { 'yes' }
`),
}

function script(lua: string): RedisScript {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') }
}
