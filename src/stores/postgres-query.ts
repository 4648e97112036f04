import { sleep, systemClock } from '../time.ts'

/**
 * What the store needs of a pool: `Pool` of `pg`, or anything with the same `query`. Each query is a
 * transaction of its own and may run on any connection.
 */
export interface PostgresPool {
  query(
    statement: string | PreparedQuery,
    values?: unknown[],
  ): Promise<{ readonly rows: readonly unknown[] }>
}

/** A statement that each connection prepares once, in the form that pg accepts. Used with `prepare: true`. */
export interface PreparedQuery {
  readonly name: string
  readonly text: string
  readonly values?: unknown[]
}

export interface AskOptions {
  /**
   * Whether the statement may run twice: then it is repeated if the connection broke and it is unknown
   * whether it ran.
   * @default true
   */
  readonly repeatable?: boolean
}

/**
 * Runs one statement and returns its rows. Repeats it if Postgres rolled it back in favour of another one
 * (at isolation levels above READ COMMITTED, or after a deadlock).
 * @throws the driver's error, once no repetition helps.
 */
export async function ask(
  pool: PostgresPool,
  statement: string | PreparedQuery,
  values: readonly unknown[] = [],
  { repeatable = true }: AskOptions = {},
): Promise<readonly unknown[]> {
  let conflicts = 0
  let cuts = 0
  for (;;) {
    try {
      const { rows } = await (typeof statement === 'string'
        ? pool.query(statement, [...values])
        : pool.query({ ...statement, values: [...values] }))
      return rows
    } catch (error) {
      if (isConflict(error) && conflicts < MAX_CONFLICTS) {
        await pause(conflicts++)
      } else if (!repeatable || !isCut(error) || cuts++ >= MAX_CUTS) {
        throw error
      }
    }
  }
}

/** In every round one of the competing statements succeeds, so a few rounds suffice even for many callers. */
const MAX_CONFLICTS = 10

/** After a restart of the server, every idle connection of a pool may be broken. */
const MAX_CUTS = 2

/** No pause after the first conflict, because the other statement has finished; then full jitter up to 256 ms. */
async function pause(conflicts: number): Promise<void> {
  if (conflicts === 0) return
  await sleep(systemClock, Math.random() * Math.min(256, 2 ** conflicts))
}

/** `serialization_failure` and `deadlock_detected`: Postgres's documentation advises to try again. */
function isConflict(error: unknown): boolean {
  const code = codeOf(error)
  return code === '40001' || code === '40P01'
}

/** Codes of connections that ended during a query: by the network, an administrator, a crash or a pooler. */
const CUT_CODES: ReadonlySet<unknown> = new Set([
  'ECONNRESET',
  'EPIPE',
  '57P01',
  '57P02',
  '08003',
  '08006',
  '08P01',
])

function isCut(error: unknown): boolean {
  if (CUT_CODES.has(codeOf(error))) return true
  // pg's own errors for this have no code.
  return (
    error instanceof Error &&
    /^Connection terminated|^Client has encountered a connection error/.test(error.message)
  )
}

export function codeOf(error: unknown): unknown {
  return Reflect.get(Object(error), 'code')
}
