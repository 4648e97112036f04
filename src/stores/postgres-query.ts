import { sleep, systemClock } from '../time.ts'

/**
 * What the store needs of a pool: `Pool` of `pg` as it is, or anything of its shape. Each query is
 * a transaction of its own, on any connection.
 */
export interface PostgresPool {
  query(
    statement: string | PreparedQuery,
    values?: unknown[],
  ): Promise<{ readonly rows: readonly unknown[] }>
}

/** As pg takes a statement that each connection is to prepare once. Passed where that is asked for. */
export interface PreparedQuery {
  readonly name: string
  readonly text: string
  readonly values?: unknown[]
}

export interface AskOptions {
  /**
   * Whether the statement may run twice: then it is sent again where the connection broke and nobody
   * knows whether it ran.
   * @default true
   */
  readonly repeatable?: boolean
}

/**
 * The rows of one statement. Sent again where Postgres took it back in favour of another (at
 * isolation levels above READ COMMITTED, or a deadlock).
 * @throws what the driver rejects with, in the end.
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

/** One after the other wins, so that a crowd on one key needs a few rounds at most. */
const MAX_CONFLICTS = 10

/** After a restart of the server, every idle connection of a pool may be a dead one. */
const MAX_CUTS = 2

/** Not at all after the first, since the other has won by then; full jitter up to 256 ms later. */
async function pause(conflicts: number): Promise<void> {
  if (conflicts === 0) return
  await sleep(systemClock, Math.random() * Math.min(256, 2 ** conflicts))
}

/** `serialization_failure` and `deadlock_detected`: Postgres's own advice is to try again. */
function isConflict(error: unknown): boolean {
  const code = codeOf(error)
  return code === '40001' || code === '40P01'
}

/** Connections that ended under a query: by the network, an administrator, a crash or a pooler. */
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
  // pg's own words for it carry no code.
  return (
    error instanceof Error &&
    /^Connection terminated|^Client has encountered a connection error/.test(error.message)
  )
}

export function codeOf(error: unknown): unknown {
  return Reflect.get(Object(error), 'code')
}
