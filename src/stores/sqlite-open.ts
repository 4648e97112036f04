import { randomUUID } from 'node:crypto'
import { closeSync, linkSync, openSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { fileAt, isInPlace, type NamedFile } from './named-file.ts'

export interface OpenDatabase {
  readonly database: DatabaseSync
  /** The file that it has open. */
  readonly file: NamedFile
}

/**
 * Opens the file, and makes it where there is none. Its tables are `prepareTables`'s.
 * @throws {Error} whose message is the end of a sentence on the file.
 */
export function openDatabase(name: string): OpenDatabase {
  requireUsable(name)
  for (let round = 0; round < MAX_ROUNDS; round++) {
    if (fileAt(name) === undefined) makeFile(endOfLinks(name))
    const before = fileAt(name)
    const database = new (sqlite().DatabaseSync)(name)
    // Which file SQLite has opened can only be told by its name, so the name must not have moved
    // meanwhile. It moves by itself where a layered file system copies a file that is opened to write.
    if (before !== undefined && isInPlace(before)) return { database, file: before }
    database.close()
  }
  throw new Error('is replaced again and again while it is opened')
}

const MAX_ROUNDS = 10

/** @throws {Error} where this runtime has no SQLite. */
export function sqlite(): typeof import('node:sqlite') {
  const module = globalThis.process?.getBuiltinModule?.('node:sqlite')
  if (module !== undefined) return module
  throw new Error(
    `sqliteStore(): this runtime (${globalThis.process?.version ?? 'no Node'}) has no node:sqlite; ` +
      'Node has it from 22.13 on (from 22.5 with --experimental-sqlite)',
  )
}

/** Refuses what SQLite would take without a word, or with one that does not help. */
function requireUsable(name: string): void {
  const directory = statSync(dirname(name), { throwIfNoEntry: false })
  if (!directory?.isDirectory()) throw new Error(`has no directory: make ${dirname(name)} first`)
  const file = statSync(name, { throwIfNoEntry: false })
  if (file?.isDirectory()) throw new Error('is a directory')
  // SQLite takes a very short text for an empty file, and would write over it. A longer one it
  // knows by its first bytes.
  if (file !== undefined && file.size > 0 && file.size < SMALLEST_DATABASE_BYTES) {
    throw new Error('is no SQLite database')
  }
  if (hasOtherNames(name)) {
    throw new Error(
      'has a second name (a hard link): SQLite would keep a log for each of them. Remove one',
    )
  }
}

// One page of the smallest size (https://sqlite.org/fileformat.html, §1.3).
const SMALLEST_DATABASE_BYTES = 512

function hasOtherNames(name: string): boolean {
  const isSingle = () => (fileAt(name)?.nlink ?? 1n) <= 1n
  // One that another process or thread is making has two for a moment.
  for (let waits = 0; waits < 100; waits++) {
    if (isSingle()) return false
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
  }
  return !isSingle()
}

/** Where a symbolic link leads, though nothing be there yet. A circle of them has been refused. */
function endOfLinks(name: string): string {
  let next: string
  try {
    next = readlinkSync(name)
  } catch {
    return name
  }
  return endOfLinks(resolve(dirname(name), next))
}

/**
 * Makes an empty file for its owner alone: answers will be in it. SQLite gives its log the same
 * mode. It is closed before it has the name under which others may open it: from then on a
 * descriptor of ours would do harm.
 */
function makeFile(name: string): void {
  const draft = `${name}.${randomUUID()}`
  closeSync(openSync(draft, 'wx', 0o600))
  try {
    // Unlike a renaming this replaces nothing: others may have been faster.
    linkSync(draft, name)
  } catch {
    // They were; or the file system has no links, and then no modes either: SQLite makes the file.
  } finally {
    rmSync(draft)
  }
}

// 'stdy', in the header that `file` and SQLite's tools show.
const APPLICATION_ID = 0x73746479
const SCHEMA_VERSION = 1

// A record's large column comes last, so that the others are read without it.
const SCHEMA = `
  CREATE TABLE record (
    key TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    owner TEXT NOT NULL,
    fence INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    on_uncertain TEXT NOT NULL,
    lease_until_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    left_notice TEXT,
    left_fence INTEGER,
    left_until_ms INTEGER,
    refusal TEXT,
    result TEXT
  ) STRICT;
  CREATE INDEX record_by_expiry ON record (expires_at_ms);
  CREATE TABLE clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    now_ms INTEGER NOT NULL,
    ahead_ms INTEGER NOT NULL
  ) STRICT;
  INSERT INTO clock VALUES (1, 0, 0);
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};`

/**
 * Makes the tables, or checks that they are ours. Waits for no lock longer than the connection does.
 * @throws {Error} whose message is the end of a sentence on the file, or SQLite's own.
 */
export function prepareTables(database: DatabaseSync): void {
  const isNew = requireOurs(database)
  const mode = database.prepare('PRAGMA journal_mode = WAL').get()
  if (mode?.['journal_mode'] !== 'wal') throw new Error('takes no write-ahead log')
  // Every commit is on the disk before it is acknowledged: a claim that a loss of power undoes
  // could be given twice. What is removed is overwritten where that costs nothing.
  database.exec('PRAGMA synchronous = FULL; PRAGMA secure_delete = FAST')
  inTransaction(database, () => {
    // Others may have been faster.
    if (isNew && requireOurs(database)) database.exec(SCHEMA)
    // Changes nothing, and fails where nothing may be written: a file that is only to be read begins
    // such a transaction without a word.
    database.exec('DELETE FROM record WHERE FALSE')
  })
}

/** Does all of it or none. `BEGIN IMMEDIATE`: a lock taken later could find that all it read is old. */
export function inTransaction<R>(database: DatabaseSync, write: () => R): R {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = write()
    database.exec('COMMIT')
    return result
  } catch (error) {
    try {
      database.exec('ROLLBACK')
    } catch {
      // A full disk and a failing one end the transaction by themselves.
    }
    throw error
  }
}

/** Whether the database is still empty. @throws {Error} where it is another program's or newer. */
function requireOurs(database: DatabaseSync): boolean {
  // One statement, so that it is one moment: somebody else may be making them.
  const found = database
    .prepare(
      `SELECT application_id, user_version, EXISTS (SELECT 1 FROM sqlite_schema) AS used
       FROM pragma_application_id, pragma_user_version`,
    )
    .get()
  const { application_id: id, user_version: version, used } = found ?? {}
  if (used === 0 && id === 0 && version === 0) return true
  if (id !== APPLICATION_ID) {
    throw new Error("is another program's database: give the store a file of its own")
  }
  if (version !== SCHEMA_VERSION) {
    throw new Error(
      `was written by another version of steadycall: its schema is ${version}, ` +
        `this one knows ${SCHEMA_VERSION}`,
    )
  }
  return false
}
