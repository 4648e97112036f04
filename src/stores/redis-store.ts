import type { Claim, ClaimRequest, ClaimResult, Outcome, Store } from '../idempotency/store.ts'
import { readNotice } from '../idempotency/stored-notice.ts'
import { unreadableRecord } from '../idempotency/unreadable-record.ts'
import { text as aText, type Checks, checkOptions } from '../options/option-check.ts'
import { emitProcessWarning } from '../process-warning.ts'
import { memoryInfo, type RedisClient, type RunScript, runnerFor } from './redis-client.ts'
import { type RedisScript, SCRIPTS } from './redis-scripts.ts'

export type { IoredisClient, NodeRedisClient, RedisClient } from './redis-client.ts'

export interface RedisStoreOptions {
  /**
   * What every key begins with, 1 to 100 characters. In a cluster a hash tag in it, such as
   * `{steadycall}:`, keeps all records in one slot; without one they spread, which works as well, since a
   * verb needs one key only.
   * @default 'steadycall:'
   */
  readonly keyPrefix?: string
}

/**
 * A store in Redis 5 or later, or what speaks its protocol, for any number of machines. Every verb is
 * one Lua script on one key, on the server's clock. It is as durable as the server is: with
 * `appendfsync always` what was acknowledged survives a restart; a failover to a replica can lose
 * what the replica had not got yet, so two may then run the same work.
 *
 * The client stays yours: connect it before, and close it after. A verb that got no answer is safe to
 * repeat, and is repeated once. Where memory is limited and the server evicts keys, a warning is
 * emitted once per client: a record that is evicted protects from nothing.
 * @throws {TypeError} for a client or option that is not as documented.
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): Store {
  const keyPrefix = checkedPrefix(options)
  const run = runnerFor(client)
  /** Numbers are durations. */
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
        // Nobody waits for it.
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

/** Clients whose server has been asked about its memory: a store may be made for each request. */
const checked = new WeakSet<RedisClient>()

// Some 28,000 years: with the time of day it still has the 15 digits that the scripts read.
const MAX_MS = 9e14

/** A duration that Redis can add up and keep. A lease is never shorter than was asked for. */
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

/** The answer of a script: strings. What is at the key may be anything by now. */
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
    // Somebody else's value under our key.
    if (error instanceof Error && error.message.includes('WRONGTYPE')) {
      throw unreadableRecord(key, 'its value, which is no hash,', error)
    }
    throw error
  }
  // A client may be set to give bytes for strings.
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
      // The script has seen to it.
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

/** Every record has a time to live, so the policies that evict only such keys evict ours. */
async function warnOfEviction(client: RedisClient): Promise<void> {
  const memory = await memoryInfo(client)
  const policy = memory?.match(/^maxmemory_policy:([a-z-]+)/m)?.[1]
  const limit = Number(memory?.match(/^maxmemory:(\d+)/m)?.[1] ?? 0)
  if (policy === undefined || policy === 'noeviction' || limit === 0) return
  emitProcessWarning(
    `This Redis evicts keys when its memory is full (maxmemory-policy ${policy}). A record of an ` +
      'idempotency key that is evicted protects from nothing: set noeviction, or use a server of its own.',
    'STEADYCALL_REDIS_EVICTS',
  )
}
