import { checkOption, checkOptions, type OptionCheck, objectWith } from '../options/option-check.ts'
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

export interface PostgresTableOptions {
  /**
   * The table, optionally with its schema (`'app.llm_calls'`); without one, the connection's `search_path`
   * decides. Case-sensitive.
   * @default 'steadycall_idempotency'
   */
  readonly table?: string
}

/** The version of the table below. A table of any other version is an error. */
export const SCHEMA_VERSION = 1

/**
 * Creates the store's table if it does not exist. Any number of processes may call it at the same time. An
 * existing table is only inspected, which needs no more privileges than the store itself.
 * @throws {TypeError} for an invalid or unknown option.
 * @throws {Error} if the table has another version or was not created by steadycall, or if the database's
 * encoding is not UTF8; also the driver's error if Postgres rejects a statement.
 */
export async function migrate(
  pool: PostgresPool,
  options: PostgresTableOptions = {},
): Promise<void> {
  checkPool('migrate()', pool)
  const table = tableOf('migrate()', options)
  if (await isInPlace(pool, table)) return
  await ask(pool, creation(table))
  await isInPlace(pool, table)
}

/**
 * The SQL that `migrate` would run, for setups in which the application may not create tables. Safe to run
 * repeatedly.
 * @throws {TypeError} for an invalid or unknown option.
 */
export function schemaSql(options: PostgresTableOptions = {}): string {
  const table = tableOf('schemaSql()', options)
  return `${statements(table).join(';\n\n')};\n`
}

export interface TableName {
  /** Quoted, with its schema if one was given. */
  readonly quoted: string
  /** Quoted, without its schema. */
  readonly index: string
}

/** @throws {TypeError} for an invalid name or an unknown option. */
function tableOf(where: string, options: PostgresTableOptions): TableName {
  checkOptions(where, options, { table: aTable })
  return tableNamed(options.table)
}

/** Takes a validated name. */
export function tableNamed(table = 'steadycall_idempotency'): TableName {
  const parts = table.split('.')
  const [last = ''] = parts.slice(-1)
  return {
    quoted: parts.map((part) => `"${part}"`).join('.'),
    index: `"${last}${INDEX_ENDING}"`,
  }
}

/** @throws {TypeError} if the pool has no `query`. */
export function checkPool(where: string, pool: unknown): void {
  checkOption(where, 'pool', pool, POOL)
}

const POOL: OptionCheck = {
  ...objectWith('a Pool of pg, or have its query method', 'query'),
  accepts: (pool) => typeof Reflect.get(Object(pool), 'query') === 'function',
}

// Only characters that need no escaping, in SQL or in a shell. Postgres would truncate a longer name.
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/
const INDEX_ENDING = '_expires_at'
const MAX_LENGTH = 63 - INDEX_ENDING.length

export const aTable: OptionCheck = {
  allowed: `a name or schema.name of letters, digits and _, not beginning with a digit, the name at most ${MAX_LENGTH} characters`,
  accepts(table) {
    const parts = typeof table === 'string' ? table.split('.') : ['']
    const [last = ''] = parts.slice(-1)
    return parts.length <= 2 && parts.every((part) => NAME.test(part)) && last.length <= MAX_LENGTH
  },
}

/**
 * Hashes, states and times have columns of their own, so that every operation is a single statement. The
 * version is a column with a constraint, so that no statement of another version can write a row, even from a
 * process that has been running for long. All times are the server's.
 */
function statements({ quoted, index }: TableName): readonly string[] {
  return [
    // The fillfactor leaves room in each page, so that heartbeats update a row without touching an index.
    `CREATE TABLE IF NOT EXISTS ${quoted} (
  schema_version smallint NOT NULL DEFAULT ${SCHEMA_VERSION} CHECK (schema_version = ${SCHEMA_VERSION}),
  key text COLLATE "C" PRIMARY KEY,
  state text NOT NULL
    CHECK (state IN ('claimed', 'dispatched', 'uncertain', 'done', 'failed', 'free')),
  owner text NOT NULL,
  fence bigint NOT NULL CHECK (fence > 0),
  fingerprint text NOT NULL,
  on_uncertain text NOT NULL CHECK (on_uncertain IN ('rerun', 'fail')),
  claimed_at timestamptz NOT NULL,
  lease_until timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  result text,
  refusal text,
  left_fence bigint,
  left_notice text,
  left_until timestamptz
) WITH (fillfactor = 80)`,
    `CREATE INDEX IF NOT EXISTS ${index} ON ${quoted} (expires_at)`,
    `COMMENT ON TABLE ${quoted} IS 'Idempotency records of steadycall, schema ${SCHEMA_VERSION}'`,
  ]
}

/** All statements as one, in one transaction, guarded by an advisory lock. */
function creation(table: TableName): string {
  // Concurrent CREATE … IF NOT EXISTS would collide in Postgres's catalog (unique_violation).
  return `DO $steadycall$ BEGIN
    PERFORM set_config('lock_timeout', '${MIGRATION_LOCK_MS}', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('steadycall ${table.quoted}', 0));
    ${statements(table).join(';\n')};
  END $steadycall$`
}

/** Long, because the process that holds the lock only creates an empty table, which takes milliseconds. */
const MIGRATION_LOCK_MS = 30_000

async function isInPlace(pool: PostgresPool, { quoted }: TableName): Promise<boolean> {
  const [row] = await ask(pool, INSPECTION, [quoted])
  const column = (name: string): unknown => Reflect.get(Object(row), name)
  if (column('encoding') !== 'UTF8') {
    throw new Error(
      `migrate(): the database's encoding is ${column('encoding')}; steadycall needs UTF8, because ` +
        'results may contain any character',
    )
  }
  if (column('relation') === null) return false
  const version = column('version')
  if (version === `${SCHEMA_VERSION}`) return true
  throw new Error(
    version === null
      ? `migrate(): ${quoted} already exists and was not created by steadycall. Choose another ` +
          'name with the option table'
      : `migrate(): the table ${quoted} has schema ${version}, and this version of steadycall ` +
          `needs schema ${SCHEMA_VERSION}. Use the version that created it, or another table`,
  )
}

/** The version is read from the column's default, which survives a dump and needs no privileges. */
const INSPECTION = `SELECT to_regclass($1::text)::text AS relation,
  current_setting('server_encoding') AS encoding,
  (SELECT substring(pg_get_expr(d.adbin, d.adrelid) FROM '[0-9]+')
    FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = to_regclass($1::text) AND a.attname = 'schema_version') AS version`
