import { type Check, checkOption, checkOptions, objectWith } from '../options/option-check.ts'
import { ask, type PostgresPool } from './postgres-query.ts'

export interface PostgresTableOptions {
  /**
   * The table, with its schema where the connection's `search_path` should not decide:
   * `'app.llm_calls'`. Taken as written, upper and lower case included.
   * @default 'steadycall_idempotency'
   */
  readonly table?: string
}

/** The version of the table below. Another one is an error, never guessed at. */
export const SCHEMA_VERSION = 1

/**
 * Creates the store's table unless it is there. Any number of processes may do it at once; where
 * the table is there, it is only looked at, which needs no more rights than the store itself.
 * @throws {TypeError} for an option that is not as documented.
 * @throws {Error} for a table of another version, one that is not ours, or a database whose encoding
 * is not UTF8; what the driver rejects with where Postgres refuses.
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
 * The SQL that `migrate` would run, for who may not create tables or keeps them elsewhere. Running
 * it again changes nothing.
 * @throws {TypeError} for an option that is not as documented.
 */
export function schemaSql(options: PostgresTableOptions = {}): string {
  const table = tableOf('schemaSql()', options)
  return `${statements(table).join(';\n\n')};\n`
}

export interface TableName {
  /** Quoted, with its schema where one was given. */
  readonly quoted: string
  /** Quoted, without its schema. */
  readonly index: string
}

/** @throws {TypeError} for a name that is not as documented, and for an option that is not `table`. */
function tableOf(where: string, options: PostgresTableOptions): TableName {
  checkOptions(where, options, { table: aTable })
  return tableNamed(options.table)
}

/** Of a name that has been checked. */
export function tableNamed(table = 'steadycall_idempotency'): TableName {
  const parts = table.split('.')
  const [last = ''] = parts.slice(-1)
  return {
    quoted: parts.map((part) => `"${part}"`).join('.'),
    index: `"${last}${INDEX_ENDING}"`,
  }
}

/** @throws {TypeError} for what has no `query`. */
export function checkPool(where: string, pool: unknown): void {
  checkOption(where, 'pool', pool, POOL)
}

const POOL: Check = {
  ...objectWith('a Pool of pg, or have its query method', 'query'),
  accepts: (pool) => typeof Reflect.get(Object(pool), 'query') === 'function',
}

// Nothing that would have to be escaped, in SQL or in a shell. Postgres cuts a longer one.
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/
const INDEX_ENDING = '_expires_at'
const MAX_LENGTH = 63 - INDEX_ENDING.length

export const aTable: Check = {
  allowed: `a name or schema.name of letters, digits and _, not beginning with a digit, the name at most ${MAX_LENGTH} characters`,
  accepts(table) {
    const parts = typeof table === 'string' ? table.split('.') : ['']
    const [last = ''] = parts.slice(-1)
    return parts.length <= 2 && parts.every((part) => NAME.test(part)) && last.length <= MAX_LENGTH
  },
}

/**
 * Hashes, states and times in fixed columns, so that every verb is one statement. The version is a
 * column with a constraint: no statement of another version can write a row, however long its
 * process has been running. Times are the server's.
 */
function statements({ quoted, index }: TableName): readonly string[] {
  return [
    // Room in each page, so that heartbeats rewrite a row without touching an index.
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

/** The same in one transaction, one process after the other, as one statement. */
function creation(table: TableName): string {
  // Concurrent CREATE … IF NOT EXISTS collide in Postgres's own catalog: unique_violation.
  return `DO $steadycall$ BEGIN
    PERFORM set_config('lock_timeout', '${MIGRATION_LOCK_MS}', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('steadycall ${table.quoted}', 0));
    ${statements(table).join(';\n')};
  END $steadycall$`
}

/** Whoever is before us creates an empty table, which takes milliseconds. */
const MIGRATION_LOCK_MS = 30_000

async function isInPlace(pool: PostgresPool, { quoted }: TableName): Promise<boolean> {
  const [row] = await ask(pool, INSPECTION, [quoted])
  const column = (name: string): unknown => Reflect.get(Object(row), name)
  if (column('encoding') !== 'UTF8') {
    throw new Error(
      `migrate(): the database's encoding is ${column('encoding')}; steadycall needs UTF8, since ` +
        'results may hold any character',
    )
  }
  if (column('relation') === null) return false
  const version = column('version')
  if (version === `${SCHEMA_VERSION}`) return true
  throw new Error(
    version === null
      ? `migrate(): ${quoted} is there already and is not a table of steadycall's. Choose another ` +
          'name with the option table'
      : `migrate(): the table ${quoted} has schema ${version}, and this version of steadycall ` +
          `needs schema ${SCHEMA_VERSION}. Use the version that made it, or another table`,
  )
}

/** Read from the column's default: that survives a dump, and needs no rights. */
const INSPECTION = `SELECT to_regclass($1::text)::text AS relation,
  current_setting('server_encoding') AS encoding,
  (SELECT substring(pg_get_expr(d.adbin, d.adrelid) FROM '[0-9]+')
    FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = to_regclass($1::text) AND a.attname = 'schema_version') AS version`
