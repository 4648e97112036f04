import { readNotice, unreadableRecord } from '../idempotency/record.ts'
import type { Claim, ClaimRequest, ClaimResult, Outcome, Store } from '../idempotency/store.ts'
import { text as aText, type Checks, checkOptions } from '../options/option-check.ts'
import { emitProcessWarning } from '../process-wide.ts'
import { memoryInfo, type RedisClient, type RunScript, runnerFor } from './redis-client.ts'
import { type RedisScript, SCRIPTS } from './redis-scripts.ts'

export type { IoredisClient, NodeRedisClient, RedisClient } from './redis-client.ts'

export interface RedisStoreOptions {
  /**
   * The prefix of every key, 1 to 100 characters. In a cluster, a prefix with a hash tag, such as
   * `{steadycall}:`, keeps all records in one slot. That is optional, because each operation uses one key only.
   * @default 'steadycall:'
   */
  readonly keyPrefix?: string
}

/**
 * A store in Redis 5 or later, or a server that speaks its protocol, shared by any number of machines. Every
 * operation is one Lua script on one key and uses the server's clock. The store is as durable as the server:
 * with `appendfsync always`, acknowledged writes survive a restart; a failover to a replica can lose writes
 * that were not replicated yet, after which two callers may run the same work.
 *
 * The caller owns the client, and has to connect it before and close it afterwards. An operation without an
 * answer is repeated once, which is safe. If the server's memory is limited and it evicts keys, the process
 * warning `STEADYCALL_REDIS_EVICTS` is emitted once per client, because an evicted record no longer protects
 * its key.
 * @throws {TypeError} for an invalid client, or an invalid or unknown option.
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): Store {
  const keyPrefix = checkedPrefix(options)
  const run = runnerFor(client)
  /** Numbers among the values are durations. */
  const ask = async (script: RedisScript, key: string, ...values: (string | number)[]) =>
    answerOf(run, script, key, `${keyPrefix}${key}`, values.map(textOf))
  const said = async (
    script: RedisScript,
    { key, owner, fence }: Claim,
    ...more: (string | number)[]
  ) => isYes(await ask(script, key, owner, String(fence), ...more), key)
  return {
    name: 'redis',
    async claim(request) {
      const { key, fingerprint, owner, leaseMs, onUncertain, ttlMs, waitedFor = '' } = request
      const values = [fingerprint, owner, leaseMs, onUncertain, ttlMs, String(waitedFor)]
      const claimed = claimedBy(await ask(SCRIPTS.claim, key, ...values), request)
      if (!checked.has(client)) {
        checked.add(client)
        // Not awaited: it only emits a warning.
        void warnOfEviction(client)
      }
      return claimed
    },
    heartbeat: (proof, leaseMs) => said(SCRIPTS.heartbeat, proof, leaseMs),
    dispatch: (proof) => said(SCRIPTS.dispatch, proof),
    complete: async (proof, outcome, ttlMs) =>
      (await said(SCRIPTS.complete, proof, ...fieldsOf(outcome), ttlMs)) ? 'stored' : 'lost',
    release: (proof, notice, noticeMs = 0, doubtMs = undefined) =>
      said(
        SCRIPTS.release,
        proof,
        notice === undefined ? '' : JSON.stringify(notice),
        noticeMs,
        doubtMs ?? '',
      ),
    markUncertain: (proof, ttlMs) => said(SCRIPTS.markUncertain, proof, ttlMs),
    resolve: async (key, verdict, ttlMs) => {
      const fields = verdict === 'rerun' ? (['rerun', ''] as const) : fieldsOf(verdict)
      return isYes(await ask(SCRIPTS.resolve, key, ...fields, ttlMs), key)
    },
  }
}

/** Clients whose server has been checked for eviction. Module-wide, since a store may be created per request. */
const checked = new WeakSet<RedisClient>()

// About 28,000 years: added to the time of day, it still fits the 15 digits that the scripts accept.
const MAX_MS = 9e14

/** A duration that Redis can add and store, rounded up so that a lease is never shorter than requested. */
function textOf(value: string | number): string {
  if (typeof value === 'string') return value
  if (Number.isNaN(value)) {
    throw new TypeError('redisStore(): a duration must be a number of milliseconds, got NaN')
  }
  return String(Math.ceil(Math.min(Math.max(value, 0), MAX_MS)))
}

function checkedPrefix(options: RedisStoreOptions): string {
  checkOptions('redisStore()', options, OPTIONS)
  return options.keyPrefix ?? 'steadycall:'
}

const OPTIONS: Checks = { keyPrefix: aText(100) }

/** The answer of a script as strings. The key's value is not trusted. */
async function answerOf(
  run: RunScript,
  script: RedisScript,
  key: string,
  redisKey: string,
  values: readonly string[],
): Promise<readonly string[]> {
  let answer: unknown
  try {
    answer = await run(script, redisKey, values)
  } catch (error) {
    // Another program has stored a value of another type under this key.
    if (error instanceof Error && error.message.includes('WRONGTYPE')) {
      throw unreadableRecord(key, 'its value, which is not a hash,', error)
    }
    throw error
  }
  // A client may be configured to return buffers instead of strings.
  const texts = Array.isArray(answer) ? answer.map(String) : ['damaged']
  if (texts[0] === 'damaged') throw unreadableRecord(key, 'its state')
  return texts
}

function isYes([answer]: readonly string[], key: string): boolean {
  if (answer === 'yes') return true
  if (answer === 'no') return false
  throw unreadableRecord(key, 'its state')
}

function claimedBy(
  [verdict, first = '', second = '']: readonly string[],
  { key, owner }: ClaimRequest,
): ClaimResult {
  switch (verdict) {
    case 'owned': {
      // The script has checked that it is one of the two.
      const onUncertain = second === 'fail' ? 'fail' : 'rerun'
      return { state: 'owned', claim: { key, owner, fence: fenceIn(first, key) }, onUncertain }
    }
    case 'busy':
      return { state: 'busy', fence: fenceIn(first, key), leaseLeftMs: Number(second) }
    case 'done':
      return { state: 'settled', outcome: { ok: true, result: first } }
    case 'failed':
      return { state: 'settled', outcome: { ok: false, notice: noticeIn(first, key) } }
    case 'left':
      return { state: 'left', notice: noticeIn(first, key) }
    case 'uncertain':
    case 'mismatch':
      return { state: verdict }
    default:
      throw unreadableRecord(key, 'its state')
  }
}

function fenceIn(text: string, key: string): number {
  const fence = Number(text)
  if (!Number.isSafeInteger(fence) || fence < 1) throw unreadableRecord(key, 'its fence')
  return fence
}

function noticeIn(text: string, key: string) {
  const notice = readNotice(text)
  if (notice === undefined) throw unreadableRecord(key, 'its notice')
  return notice
}

function fieldsOf(outcome: Outcome): readonly ['done' | 'failed', string] {
  return outcome.ok ? ['done', outcome.result] : ['failed', JSON.stringify(outcome.notice)]
}

/** Every record has an expiry, so even policies that evict only such keys evict ours. */
async function warnOfEviction(client: RedisClient): Promise<void> {
  const memory = await memoryInfo(client)
  const policy = memory?.match(/^maxmemory_policy:([a-z-]+)/m)?.[1]
  const limit = Number(memory?.match(/^maxmemory:(\d+)/m)?.[1] ?? 0)
  if (policy === undefined || policy === 'noeviction' || limit === 0) return
  emitProcessWarning(
    `This Redis evicts keys when its memory is full (maxmemory-policy ${policy}). An evicted record no ` +
      'longer protects its idempotency key: set noeviction, or use a separate server.',
    'STEADYCALL_REDIS_EVICTS',
  )
}
