import { createHash } from 'node:crypto'

/** A Lua script, and its SHA-1 for EVALSHA. */
export interface RedisScript {
  readonly lua: string
  readonly sha: string
  /** Whether running it twice is safe: the second run by the same caller gives the first run's answer. */
  readonly repeatable: boolean
}

/**
 * The operations, each an atomic script on one hash. Its fields: state (claimed, dispatched, uncertain, done,
 * failed, free), owner, fence, fp (fingerprint), unc ('rerun' or 'fail'), lease and exp (Unix milliseconds on
 * the server's clock, read with TIME), left_fence, left_notice and left_until of a notice, and the outcome's
 * result or refusal. PEXPIREAT removes the hash after exp. Every answer is a list of strings; 'damaged' means
 * that the hash was not written by these scripts.
 *
 * They implement the steps of record.ts in Lua; the conformance suite tests both. Writing after reading TIME
 * requires Redis to replicate the effects of scripts rather than the scripts, the default from Redis 5 on.
 *
 * Redis does not roll back: if a command fails, the writes before it remain. So all numbers are checked
 * before the first write, and durations before they are sent.
 */
const READ = `
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
-- tonumber alone would also accept 'nan', 'inf' and '0x10'.
local function number(field)
  return field and #field <= 15 and not field:find('%D') and tonumber(field)
end

local found = redis.call('HMGET', key, 'state', 'owner', 'fence', 'fp', 'unc', 'lease', 'exp',
  'left_fence', 'left_notice', 'left_until')
local state, owner, fp, unc = found[1], found[2], found[4], found[5]
local fence, lease, exp = number(found[3]), number(found[6]), number(found[7])
local left_fence, left_notice, left_until = found[8], found[9], number(found[10])
if redis.call('EXISTS', key) == 0 then
  state = nil
else
  local known = { claimed = 1, dispatched = 1, uncertain = 1, done = 1, failed = 1, free = 1 }
  local whole = state and known[state] and owner and fence and fence > 0 and fp and lease and exp
    and (unc == 'rerun' or unc == 'fail')
    and (left_fence and left_notice and left_until or not (left_fence or left_notice or found[10]))
  if not whole then return { 'damaged' } end
  if exp <= now then
    redis.call('DEL', key)
    state, left_until = nil, nil
  end
end
-- Writes the fields, and the time at which the record expires.
--
-- A server at its memory limit rejects a script whose first write needs memory, but accepts all writes that
-- follow one which needs none, such as PERSIST. So new records are rejected, but an owner can still store the
-- outcome of its work, which has been paid for.
local function keep(untilMs, ...)
  if state then redis.call('PERSIST', key) end
  redis.call('HSET', key, 'exp', text(untilMs), ...)
  redis.call('PEXPIREAT', key, text(untilMs))
end
local leased = (state == 'claimed' or state == 'dispatched') and now < lease
local settled = state == 'done' or state == 'failed'
`

/** ARGV: owner, fence. */
const HELD = `${READ}
local mine = state and owner == ARGV[1] and text(fence) == ARGV[2]
local held = mine and not settled and state ~= 'free'
`

const LEASE = `
local function hold(forMs)
  keep(math.max(exp, now + forMs), 'lease', text(now + forMs))
end
`

const SETTLE = `
local function settle(as, outcome, ttl, ...)
  keep(now + ttl, 'state', as, as == 'done' and 'result' or 'refusal', outcome, ...)
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
  if state == 'failed' then redis.call('HDEL', key, 'refusal') end
  keep(now + math.max(ttl, lease_ms), 'state', 'claimed', 'owner', ARGV[2], 'fence', text(next),
    'fp', ARGV[1], 'unc', policy, 'lease', text(now + lease_ms))
  return { 'owned', text(next), policy }
end
if not state then return take(ARGV[4]) end
if fp ~= ARGV[1] and state ~= 'free' then
  if state == 'failed' then return take(ARGV[4]) end
  return { 'mismatch' }
end
if settled then
  local outcome = redis.call('HGET', key, state == 'done' and 'result' or 'refusal')
  return outcome and { state, outcome } or { 'damaged' }
end
if left_until and now < left_until and left_fence == ARGV[6] then return { 'left', left_notice } end
if state == 'free' then return take(ARGV[4]) end
if ARGV[4] == 'fail' and unc ~= 'fail' then
  unc = 'fail'
  keep(exp, 'unc', unc)
end
if state ~= 'uncertain' and owner == ARGV[2] then
  hold(lease_ms)
  return { 'owned', text(fence), unc }
end
if leased then return { 'busy', text(fence), text(lease - now) } end
if state == 'claimed' or (state == 'dispatched' and unc == 'rerun') then return take(unc) end
if state == 'dispatched' then
  keep(now + ttl, 'state', 'uncertain')
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
  // ARGV: owner, fence, notice or '', noticeMs, doubtMs or ''
  release: script(`${HELD}
if not held then return { 'no' } end
if ARGV[5] ~= '' and unc == 'fail' then
  keep(now + tonumber(ARGV[5]), 'state', 'uncertain')
  return { 'yes' }
end
if ARGV[3] ~= '' then
  left_fence, left_notice, left_until = text(fence), ARGV[3], now + tonumber(ARGV[4])
end
if not left_until or left_until <= now then
  redis.call('DEL', key)
  return { 'yes' }
end
keep(left_until, 'state', 'free', 'left_fence', left_fence, 'left_notice', left_notice,
  'left_until', text(left_until))
return { 'yes' }
`),
  // ARGV: owner, fence, ttlMs
  markUncertain: script(`${HELD}
if not held then return { 'no' } end
keep(now + tonumber(ARGV[3]), 'state', 'uncertain')
return { 'yes' }
`),
  // ARGV: 'rerun', 'done' or 'failed'; result or refusal; ttlMs
  // Not repeatable: a second run would find its own verdict and report that nothing was uncertain.
  resolve: script(
    `${READ}${SETTLE}
if state ~= 'uncertain' then return { 'no' } end
if ARGV[1] == 'rerun' then
  redis.call('DEL', key)
  return { 'yes' }
end
-- Without an owner: the one that left the record uncertain must not take this outcome for its own.
settle(ARGV[1], ARGV[2], tonumber(ARGV[3]), 'owner', '')
return { 'yes' }
`,
    false,
  ),
}

function script(lua: string, repeatable = true): RedisScript {
  return { lua, sha: createHash('sha1').update(lua).digest('hex'), repeatable }
}
