import { hash } from 'node:crypto'
import type {
  Claim,
  ClaimRequest,
  ClaimResult,
  FailureNotice,
  Outcome,
  Store,
} from '../idempotency/store.ts'
import { readNotice } from '../idempotency/stored-notice.ts'
import { unreadableRecord } from '../idempotency/unreadable-record.ts'
import { type Checks, checkOptions, trueOrFalse } from '../options/option-check.ts'
import {
  type AskOptions,
  ask,
  codeOf,
  type PostgresPool,
  type PreparedQuery,
} from './postgres-query.ts'
import { aTable, checkPool, type PostgresTableOptions, tableNamed } from './postgres-schema.ts'
import { type Statements, statementsFor } from './postgres-statements.ts'

export type { PostgresPool, PreparedQuery } from './postgres-query.ts'
export { migrate, type PostgresTableOptions, schemaSql } from './postgres-schema.ts'

export interface PostgresStoreOptions extends PostgresTableOptions {
  /**
   * Whether claims remove expired records as they go: after every hundredth claim that was granted,
   * up to a thousand of them, while nobody waits for it. Without it call `sweep` yourself.
   * @default true
   */
  readonly autoSweep?: boolean
  /**
   * Whether each connection prepares its statements once, under names of ours: Postgres then parses
   * and plans none of them again, which is most of what a claim costs it. For pools of pg whose
   * connections keep their session: not through a pooler in transaction mode, unless that keeps
   * track of prepared statements itself (PgBouncer from 1.21 on, with `max_prepared_statements`).
   * @default false
   */
  readonly prepare?: boolean
}

export interface PostgresStore extends Store {
  /**
   * Removes expired records, the oldest first and at most `limit` of them, and says how many. What
   * has expired is invisible already; this gives its room back.
   * @throws {TypeError} when `limit` is not an integer from 1 to 100,000.
   */
  sweep(limit?: number): Promise<number>
}

/**
 * A store in a Postgres table, for any number of machines; see `migrate`. The pool stays yours: the
 * store never closes it.
 *
 * Every verb is one statement at whatever isolation level the session has, on the server's clock.
 * It keeps nothing in the session, so that a pooler may stand between (PgBouncer in transaction
 * mode). A verb whose connection broke, or which lost to a concurrent one, is repeated a few times:
 * none changes anything when it comes twice.
 * @throws {TypeError} for a pool or option that is not as documented.
 */
export function postgresStore(
  pool: PostgresPool,
  options: PostgresStoreOptions = {},
): PostgresStore {
  const { table, autoSweep, prepare } = checked(pool, options)
  const texts = statementsFor(table)
  const statements = prepare ? named(texts) : texts
  const run: Run = async (verb, values, askOptions) => {
    try {
      return await ask(pool, statements[verb], values, askOptions)
    } catch (error) {
      throw explained(error, table)
    }
  }
  /** Numbers among the verb's own values are durations. */
  const held = async (verb: keyof Statements, { key, owner, fence }: Claim, ...more: unknown[]) =>
    isHeld(await run(verb, [key, owner, fence, ...more.map(boundedIfDuration)]), key)
  const sweep = async (limit = SWEEP_LIMIT) => {
    if (!Number.isInteger(limit) || limit < 1 || limit > 100_000) {
      throw new TypeError(`sweep(): limit must be an integer from 1 to 100,000, got ${limit}`)
    }
    const [row] = await run('sweep', [limit])
    return Number(column(row, 'removed'))
  }
  const granted = autoSweep ? everyHundredth(sweep) : () => {}
  return {
    name: 'postgres',
    async claim(request) {
      const answer = await claim(run, request)
      if (answer.state === 'owned') granted()
      return answer
    },
    heartbeat: (proof, leaseMs) => held('heartbeat', proof, leaseMs),
    dispatch: (proof) => held('dispatch', proof),
    complete: async (proof, outcome, ttlMs) =>
      (await held('complete', proof, ...columnsOf(outcome), ttlMs)) ? 'stored' : 'lost',
    release: (proof, notice, noticeMs = 0, doubtMs = undefined) =>
      held(
        'release',
        proof,
        notice === undefined ? null : noticeText(notice),
        noticeMs,
        doubtMs ?? null,
      ),
    markUncertain: (proof, ttlMs) => held('markUncertain', proof, ttlMs),
    resolve: async (key, verdict, ttlMs) => isHeld(await resolve(run, key, verdict, ttlMs), key),
    sweep,
  }
}

/** By text, which another table or version has otherwise: two stores may share a pool. */
function named(texts: Statements): Readonly<Record<keyof Statements, PreparedQuery>> {
  const entries = Object.entries(texts).map(([verb, text]: [string, string]) => {
    const name = `steadycall_${hash('sha256', text).slice(0, 16)}`
    return [verb, { name, text }] as const
  })
  // One for each of them.
  return Object.fromEntries(entries) as Record<keyof Statements, PreparedQuery>
}

type Run = (
  verb: keyof Statements,
  values: readonly unknown[],
  options?: AskOptions,
) => Promise<readonly unknown[]>

async function claim(run: Run, request: ClaimRequest): Promise<ClaimResult> {
  const { key, fingerprint, owner, leaseMs, onUncertain, ttlMs, waitedFor = null } = request
  const [lease, ttl] = [bounded(leaseMs), bounded(ttlMs)]
  const values = [key, fingerprint, owner, lease, onUncertain, ttl, waitedFor]
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const [row] = await run('claim', values)
    if (row !== undefined) return answerIn(row, request)
  }
  throw new Error(`postgresStore(): the record changed under ${MAX_ROUNDS} claims in a row`)
}

/** A claim that somebody overtook finds what they wrote in the second round, unless it went again. */
const MAX_ROUNDS = 3

function isHeld([row]: readonly unknown[], key: string): boolean {
  if (row === undefined) return false
  if (column(row, 'verdict') === 'held') return true
  throw unreadableRecord(key, 'its state')
}

/** What is in a row may be anything by now. */
function answerIn(row: unknown, { key, owner }: ClaimRequest): ClaimResult {
  const verdict = column(row, 'verdict')
  switch (verdict) {
    case 'owned': {
      const onUncertain = column(row, 'on_uncertain')
      if (onUncertain !== 'rerun' && onUncertain !== 'fail') {
        throw unreadableRecord(key, 'its onUncertain')
      }
      return { state: 'owned', claim: { key, owner, fence: fenceIn(row, key) }, onUncertain }
    }
    case 'busy':
      return { state: 'busy', fence: fenceIn(row, key), leaseLeftMs: leaseIn(row, key) }
    case 'settled':
      return { state: 'settled', outcome: outcomeIn(row, key) }
    case 'left': {
      const notice = readNotice(column(row, 'left_notice'))
      if (notice === undefined) throw unreadableRecord(key, 'its notice')
      return { state: 'left', notice }
    }
    case 'uncertain':
    case 'mismatch':
      return { state: verdict }
    default:
      // Says which of them it is.
      fenceIn(row, key)
      leaseIn(row, key)
      throw unreadableRecord(key, 'its state')
  }
}

function fenceIn(row: unknown, key: string): number {
  const fence = Number(column(row, 'fence'))
  if (!Number.isSafeInteger(fence) || fence < 1) throw unreadableRecord(key, 'its fence')
  return fence
}

function leaseIn(row: unknown, key: string): number {
  // Null for one that has no end, which `Number` would take for none.
  const leaseLeftMs = Number(column(row, 'lease_left_ms') ?? Number.NaN)
  if (!Number.isFinite(leaseLeftMs)) throw unreadableRecord(key, 'its lease')
  return leaseLeftMs
}

function outcomeIn(row: unknown, key: string): Outcome {
  const state = column(row, 'state')
  const result = column(row, 'result')
  const refusal = column(row, 'refusal')
  if (state === 'done' && typeof result === 'string' && refusal === null) {
    return { ok: true, result }
  }
  const notice = state === 'failed' && result === null ? readNotice(refusal) : undefined
  if (notice === undefined) throw unreadableRecord(key, 'its outcome')
  return { ok: false, notice }
}

/** The columns `state`, `result` and `refusal` of an outcome. */
function columnsOf(outcome: Outcome): readonly [string, string | null, string | null] {
  if (!outcome.ok) return ['failed', null, noticeText(outcome.notice)]
  const { result } = outcome
  // pg would replace half a surrogate pair, and Postgres has no NUL in a text. JSON.stringify
  // escapes both, so that only a result that is not JSON can end here.
  if (UNSTORABLE.test(result)) {
    throw new TypeError('postgresStore(): a result must have no NUL and no half surrogate pair')
  }
  return ['done', result, null]
}

const UNSTORABLE = /[\0\p{Surrogate}]/u

function noticeText({ kind, executed, retryAfterMs, status, origin }: FailureNotice): string {
  return JSON.stringify({ kind, executed, retryAfterMs, status, origin })
}

/** Not sent again when the connection broke: a second `false` would hide that the first one did it. */
async function resolve(
  run: Run,
  key: string,
  verdict: 'rerun' | Outcome,
  ttlMs: number,
): Promise<readonly unknown[]> {
  const once = { repeatable: false }
  if (verdict === 'rerun') return run('resolveRerun', [key], once)
  return run('resolveOutcome', [key, ...columnsOf(verdict), bounded(ttlMs)], once)
}

/** Some 28,000 years; Postgres has no interval without an end. */
const MAX_MS = 9e14

function bounded(ms: number): number {
  if (Number.isNaN(ms)) {
    throw new TypeError('postgresStore(): a duration must be a number of milliseconds, got NaN')
  }
  return Math.min(Math.max(ms, 0), MAX_MS)
}

function boundedIfDuration(value: unknown): unknown {
  return typeof value === 'number' ? bounded(value) : value
}

/** How many expired records a sweep removes unless it is told: some milliseconds of work. */
const SWEEP_LIMIT = 1_000
const CLAIMS_PER_SWEEP = 100

/**
 * Counts what it is called for, and sweeps now and then. By number and not by time, so that it keeps
 * up with any load; from a random start, so that processes that live for a few calls sweep too.
 */
function everyHundredth(sweep: () => Promise<number>): () => void {
  let count = Math.floor(Math.random() * CLAIMS_PER_SWEEP)
  let sweeping = false
  return () => {
    count = (count + 1) % CLAIMS_PER_SWEEP
    if (count !== 0 || sweeping) return
    sweeping = true
    // One that failed is made good by the next.
    void sweep()
      .catch(() => 0)
      .then(() => {
        sweeping = false
      })
  }
}

function checked(
  pool: PostgresPool,
  options: PostgresStoreOptions,
): { readonly table: string; readonly autoSweep: boolean; readonly prepare: boolean } {
  const where = 'postgresStore()'
  checkPool(where, pool)
  checkOptions(where, options, OPTIONS)
  const { autoSweep = true, prepare = false, table } = options
  return { table: tableNamed(table).quoted, autoSweep, prepare }
}

const OPTIONS: Checks = { table: aTable, autoSweep: trueOrFalse, prepare: trueOrFalse }

/** What the driver rejected with; in our words where it says that the table is not as we need it. */
function explained(error: unknown, table: string): unknown {
  switch (codeOf(error)) {
    case '42P01':
      return new Error(
        `postgresStore(): there is no table ${table}. Run migrate(pool) once, or the SQL that ` +
          'schemaSql() returns',
        { cause: error },
      )
    // undefined_column, no unique key to conflict with, check_violation
    case '42703':
    case '42P10':
    case '23514':
      return new Error(
        `postgresStore(): the table ${table} was made by another version of steadycall, or by ` +
          'somebody else. migrate(pool) says what it found',
        { cause: error },
      )
    // invalid_sql_statement_name, duplicate_prepared_statement
    case '26000':
    case '42P05':
      return new Error(
        'postgresStore(): prepare is true, and the connections share their sessions, as through a ' +
          'pooler in transaction mode. Leave it out, or let the pooler track prepared statements',
        { cause: error },
      )
    default:
      return error
  }
}

function column(row: unknown, name: string): unknown {
  return Reflect.get(Object(row), name)
}
