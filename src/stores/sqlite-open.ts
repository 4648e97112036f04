import { randomUUID } from 'node:crypto'
import { closeSync, linkSync, lstatSync, openSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'

export interface OpenDatabase {
  readonly database: DatabaseSync
  /** The file that was opened. */
  readonly file: NamedFile
}

/**
 * Opens the file, creating it if necessary. The tables are created by `prepareTables`.
 * @throws {Error} with a message worded to follow the path of the file.
 */
export function openDatabase(name: string): OpenDatabase {
  requireUsable(name)
  for (let round = 0; round < MAX_ROUNDS; round++) {
    if (fileAt(name) === undefined) makeFile(endOfLinks(name))
    const before = fileAt(name)
    const database = new (sqlite().DatabaseSync)(name)
    // The path is the only way to tell which file SQLite opened, so it must not have changed meanwhile. It
    // changes by itself on a layered file system that copies a file when it is opened for writing.
    if (before !== undefined && isInPlace(before)) return { database, file: before }
    database.close()
  }
  throw new Error('keeps being replaced while it is opened')
}

const MAX_ROUNDS = 10

/** @throws {Error} if this runtime has no SQLite. */
export function sqlite(): typeof import('node:sqlite') {
  const module = globalThis.process?.getBuiltinModule?.('node:sqlite')
  if (module !== undefined) return module
  throw new Error(
    `sqliteStore(): this runtime (${globalThis.process?.version ?? 'no Node'}) has no node:sqlite; ` +
      'Node has it from 22.13 on (from 22.5 with --experimental-sqlite)',
  )
}

/** Rejects files that SQLite would accept silently, or reject with an unhelpful message. */
function requireUsable(name: string): void {
  const directory = statSync(dirname(name), { throwIfNoEntry: false })
  if (!directory?.isDirectory()) throw new Error(`has no directory: create ${dirname(name)} first`)
  const file = statSync(name, { throwIfNoEntry: false })
  if (file?.isDirectory()) throw new Error('is a directory')
  // SQLite treats a very short file as empty and would overwrite it. Longer ones it recognises by their
  // first bytes.
  if (file !== undefined && file.size > 0 && file.size < SMALLEST_DATABASE_BYTES) {
    throw new Error('is not an SQLite database')
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
  // A file being created by another process or thread briefly has two names; see makeFile.
  for (let waits = 0; waits < 100; waits++) {
    if (isSingle()) return false
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
  }
  return !isSingle()
}

/** The target of a symbolic link, even if it does not exist yet. Circular links have been rejected before. */
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
 * Creates an empty file readable by its owner only, because it will hold answers. SQLite gives its log the same
 * mode. The descriptor is closed before the file gets its final name: closing it later would drop SQLite's
 * locks.
 */
function makeFile(name: string): void {
  const draft = `${name}.${randomUUID()}`
  closeSync(openSync(draft, 'wx', 0o600))
  try {
    // Unlike renaming, linking does not replace a file that another process has created meanwhile.
    linkSync(draft, name)
  } catch {
    // The file exists already, or the file system has no links (and then no modes either): SQLite creates it.
  } finally {
    rmSync(draft)
  }
}

// 'stdy', in the header that `file` and SQLite's tools display.
const APPLICATION_ID = 0x73746479
const SCHEMA_VERSION = 1

// The large column comes last, so that the others can be read without it.
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
 * Creates the tables, or checks that they are ours. Waits for locks no longer than the connection allows.
 * @throws {Error} with a message worded to follow the path of the file, or SQLite's own.
 */
export function prepareTables(database: DatabaseSync): void {
  const isNew = requireOurs(database)
  const mode = database.prepare('PRAGMA journal_mode = WAL').get()
  if (mode?.['journal_mode'] !== 'wal') throw new Error('does not support a write-ahead log')
  // A commit is on disk before it is acknowledged; otherwise a power loss could undo a claim, which would
  // then be granted twice. Deleted content is overwritten if that costs nothing.
  database.exec('PRAGMA synchronous = FULL; PRAGMA secure_delete = FAST')
  inTransaction(database, () => {
    // Checked again, because another process may have been faster.
    if (isNew && requireOurs(database)) database.exec(SCHEMA)
    // Deletes nothing, but fails if the file is read-only; BEGIN IMMEDIATE alone does not.
    database.exec('DELETE FROM record WHERE FALSE')
  })
}

/** All or nothing. `BEGIN IMMEDIATE`, because a lock taken later could find that the data read is outdated. */
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
      // Some errors, such as a full or failing disk, end the transaction by themselves.
    }
    throw error
  }
}

/** Whether the database is still empty. @throws {Error} if it belongs to another program or version. */
function requireOurs(database: DatabaseSync): boolean {
  // One statement for a consistent view, because another process may be creating the tables.
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

/** The time stored in a file: the latest that was written, and how far it is ahead of the wall clock. */
export interface FileClock {
  readonly nowMs: number
  readonly aheadMs: number
}

/**
 * The file's time never goes back. If the machine's clock was set back, the file's time stays ahead of it,
 * running at the same pace, until the wall clock has caught up.
 */
export function advanced({ nowMs, aheadMs }: FileClock, wallMs: number): FileClock {
  if (wallMs >= nowMs) return { nowMs: wallMs, aheadMs: 0 }
  const nextMs = Math.max(nowMs, wallMs + aheadMs)
  return { nowMs: nextMs, aheadMs: nextMs - wallMs }
}

/**
 * A path, and the file it led to at some moment.
 *
 * Examined by path only, never through a file descriptor: when a process closes any descriptor of a file, it
 * loses all its locks on that file, including SQLite's (https://sqlite.org/howtocorrupt.html, §2.2).
 */
export interface NamedFile {
  readonly path: string
  readonly dev: bigint
  readonly ino: bigint
  /** Number of hard links. */
  readonly nlink: bigint
  /** Whether symbolic links are not followed: a link in place of the file then counts as another file. */
  readonly isOwn: boolean
  /** Size in bytes. */
  readonly size: bigint
  /** Whether the file, once emptied, no longer counts as the same file. */
  readonly keepsData?: boolean
}

/** Undefined if the path leads nowhere or cannot be followed. */
export function fileAt(path: string, isOwn = false): NamedFile | undefined {
  try {
    const look = isOwn ? lstatSync : statSync
    // Inode numbers may exceed what a double can represent exactly.
    const { dev, ino, nlink, size } = look(path, { bigint: true })
    return { path, dev, ino, nlink, isOwn, size }
  } catch {
    return undefined
  }
}

/** Whether the path still leads to the same file and its contents. */
export function isInPlace(file: NamedFile): boolean {
  const now = fileAt(file.path, file.isOwn)
  const isSame = now !== undefined && now.ino === file.ino && now.dev === file.dev
  return isSame && (file.keepsData !== true || now.size > 0n)
}
