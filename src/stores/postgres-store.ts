import { hash } from 'node:crypto'
import { readNotice, unreadableRecord } from '../idempotency/record.ts'
import type {
  Claim,
  ClaimRequest,
  ClaimResult,
  FailureNotice,
  Outcome,
  Store,
} from '../idempotency/store.ts'
import { type Checks, checkOptions, trueOrFalse } from '../options/option-check.ts'
import {
  type AskOptions,
  ask,
  aTable,
  checkPool,
  codeOf,
  type PostgresPool,
  type PostgresTableOptions,
  type PreparedQuery,
  tableNamed,
} from './postgres-query.ts'
import { type PostgresStatements, statementsFor } from './postgres-statements.ts'

export type { PostgresPool, PreparedQuery } from './postgres-query.ts'
export { migrate, type PostgresTableOptions, schemaSql } from './postgres-query.ts'

export interface PostgresStoreOptions extends PostgresTableOptions {
  /**
   * Whether claims remove expired records: after every hundredth granted claim, up to a thousand records are
   * removed in the background. If false, call `sweep` yourself.
   * @default true
   */
  readonly autoSweep?: boolean
  /**
   * Whether each connection prepares its statements once, under names starting with `steadycall_`. Postgres
   * then parses and plans them only once, which saves most of the cost of a claim. Use it with pg pools whose
   * connections keep their session: not with a pooler in transaction mode, unless the pooler tracks prepared
   * statements (PgBouncer from 1.21 on, with `max_prepared_statements`).
   * @default false
   */
  readonly prepare?: boolean
}

export interface PostgresStore extends Store {
  /**
   * Removes at most `limit` expired records, the oldest first, and returns how many. Expired records are
   * already invisible; this only frees their space.
   * @default limit 1_000
   * @throws {TypeError} if `limit` is not an integer from 1 to 100,000.
   */
  sweep(limit?: number): Promise<number>
}

/**
 * A store in a Postgres table, shared by any number of machines; create the table with `migrate`. The caller
 * owns the pool: the store never closes it.
 *
 * Every operation is one statement, correct at any isolation level, and uses the server's clock. It keeps no
 * state in the session, so it works through a pooler (PgBouncer in transaction mode). If a connection breaks,
 * or a statement loses to a concurrent one, the operation is repeated a few times, which is safe.
 * @throws {TypeError} for an invalid pool, or an invalid or unknown option.
 */
export function postgresStore(
  pool: PostgresPool,
  options: PostgresStoreOptions = {},
): PostgresStore {
  const { table, autoSweep, prepare } = checked(pool, options)
  const texts = statementsFor(table)
  const statements = prepare ? named(texts) : texts
  const run: RunStatement = async (verb, values, askOptions) => {
    try {
      return await ask(pool, statements[verb], values, askOptions)
    } catch (error) {
      throw explained(error, table)
    }
  }
  /** Numbers among the values are durations. */
  const held = async (
    verb: keyof PostgresStatements,
    { key, owner, fence }: Claim,
    ...more: unknown[]
  ) => isHeld(await run(verb, [key, owner, fence, ...more.map(boundedIfDuration)]), key)
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

/** Names statements by a hash of their text, because stores with other tables or versions may share the pool. */
function named(
  texts: PostgresStatements,
): Readonly<Record<keyof PostgresStatements, PreparedQuery>> {
  const entries = Object.entries(texts).map(([verb, text]: [string, string]) => {
    const name = `steadycall_${hash('sha256', text).slice(0, 16)}`
    return [verb, { name, text }] as const
  })
  // Safe: the entries have exactly the keys of `texts`.
  return Object.fromEntries(entries) as Record<keyof PostgresStatements, PreparedQuery>
}

type RunStatement = (
  verb: keyof PostgresStatements,
  values: readonly unknown[],
  options?: AskOptions,
) => Promise<readonly unknown[]>

async function claim(run: RunStatement, request: ClaimRequest): Promise<ClaimResult> {
  const { key, fingerprint, owner, leaseMs, onUncertain, ttlMs, waitedFor = null } = request
  const [lease, ttl] = [bounded(leaseMs), bounded(ttlMs)]
  const values = [key, fingerprint, owner, lease, onUncertain, ttl, waitedFor]
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const [row] = await run('claim', values)
    if (row !== undefined) return answerIn(row, request)
  }
  throw new Error(`postgresStore(): the record changed under ${MAX_ROUNDS} claims in a row`)
}

/** A claim that was overtaken usually finds the other's record in the second round. */
const MAX_ROUNDS = 3

function isHeld([row]: readonly unknown[], key: string): boolean {
  if (row === undefined) return false
  if (column(row, 'verdict') === 'held') return true
  throw unreadableRecord(key, 'its state')
}

/** The row is not trusted, because the table may have been changed by other programs. */
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
      // These two throw a more specific error if they can.
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
  // Null stands for an infinite lease, and `Number(null)` would be 0.
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
  // pg would replace a lone surrogate, and Postgres cannot store NUL in text. JSON.stringify escapes both, so
  // only a result that is not JSON can get here.
  if (UNSTORABLE.test(result)) {
    throw new TypeError('postgresStore(): a result must not contain NUL or a lone surrogate')
  }
  return ['done', result, null]
}

const UNSTORABLE = /[\0\p{Surrogate}]/u

function noticeText({ kind, executed, retryAfterMs, status, origin }: FailureNotice): string {
  return JSON.stringify({ kind, executed, retryAfterMs, status, origin })
}

/** Not repeated after a broken connection: a second `false` would hide that the first one succeeded. */
async function resolve(
  run: RunStatement,
  key: string,
  verdict: 'rerun' | Outcome,
  ttlMs: number,
): Promise<readonly unknown[]> {
  const once = { repeatable: false }
  if (verdict === 'rerun') return run('resolveRerun', [key], once)
  return run('resolveOutcome', [key, ...columnsOf(verdict), bounded(ttlMs)], once)
}

/** About 28,000 years; Postgres intervals cannot be infinite. */
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

/** Default number of expired records removed by a sweep: a few milliseconds of work. */
const SWEEP_LIMIT = 1_000
const CLAIMS_PER_SWEEP = 100

/**
 * Counts its calls and sweeps after every hundredth. By number rather than by time, so that it keeps up with
 * any load; from a random start, so that short-lived processes sweep too.
 */
function everyHundredth(sweep: () => Promise<number>): () => void {
  let count = Math.floor(Math.random() * CLAIMS_PER_SWEEP)
  let sweeping = false
  return () => {
    count = (count + 1) % CLAIMS_PER_SWEEP
    if (count !== 0 || sweeping) return
    sweeping = true
    // A failed sweep is made up for by the next one.
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

/** The driver's error, with our own message if the table is not the expected one. */
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
        `postgresStore(): the table ${table} was created by another version of steadycall, or by ` +
          'another program. migrate(pool) reports what it found',
        { cause: error },
      )
    // invalid_sql_statement_name, duplicate_prepared_statement
    case '26000':
    case '42P05':
      return new Error(
        'postgresStore(): prepare is true, but the connections share sessions, as with a pooler in ' +
          'transaction mode. Leave it out, or let the pooler track prepared statements',
        { cause: error },
      )
    default:
      return error
  }
}

function column(row: unknown, name: string): unknown {
  return Reflect.get(Object(row), name)
}
