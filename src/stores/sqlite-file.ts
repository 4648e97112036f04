import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { isCallError } from '../errors/call-error.ts'
import { type KeyRecord, type Step, type Stepped, unreadableRecord } from '../idempotency/record.ts'
import {
  advanced,
  type FileClock,
  fileAt,
  inTransaction,
  isInPlace,
  type NamedFile,
  openDatabase,
  prepareTables,
  sqlite,
} from './sqlite-open.ts'
import { fromRow, OwnerSign, toRow } from './sqlite-row.ts'

/** One record to be read, decided on and written. */
export interface Write {
  readonly key: string
  /** Returns the new record, like a `Step`. May reject the record by throwing. */
  step(record: KeyRecord | undefined, nowMs: number): KeyRecord | undefined
  /** Called once it has been written to disk. */
  done(): void
  reject(error: unknown): void
}

export interface SqliteFileOptions {
  readonly maxFileBytes?: number | undefined
  /** The wall clock, in whole milliseconds. */
  readonly wallMs: () => number
}

/** The records of a store in an SQLite file. Every method is synchronous and waits for no lock. */
export class SqliteFile {
  readonly #name: string
  readonly #database: DatabaseSync
  readonly #options: SqliteFileOptions
  /** The open files: the database under the given path and, once set up, under its real path with its log. */
  #files: readonly NamedFile[]
  #statements: SqliteStatements | undefined
  #sign: OwnerSign | undefined
  /** The file's time at the last read. It goes back only if the file was overwritten with an older copy. */
  #seenMs = 0
  #wentBack = false
  /** Keys claimed by this process whose work has not ended. */
  readonly #atWork = new Set<string>()

  /** @throws {Error} if the file cannot be used. */
  constructor(path: string | URL, options: SqliteFileOptions) {
    // Made absolute, so that it keeps its meaning if the process changes its working directory.
    this.#name = resolve(path instanceof URL ? fileURLToPath(path) : path)
    this.#options = options
    sqlite()
    try {
      const { database, file } = openDatabase(this.#name)
      this.#database = database
      this.#files = [file]
    } catch (error) {
      throw this.#explained(error)
    }
    try {
      // A short wait is acceptable here, because this happens when a process starts.
      this.#database.exec('PRAGMA busy_timeout = 100')
      this.#setUp()
    } catch (error) {
      // Another process is setting the file up; the first operation tries again.
      if (!isBusy(error)) {
        this.#database.close()
        throw this.#explained(error)
      }
    }
    this.#database.exec('PRAGMA busy_timeout = 0')
  }

  /**
   * The step's answer if it needs no write; undefined if it does, or if that cannot be determined.
   * @throws {CallError} if the record cannot be read.
   */
  look<Answer>(key: string, step: Step<Answer>): Stepped<Answer> | undefined {
    if (this.#statements === undefined) return undefined
    let found: FoundRecord
    try {
      found = this.#find(this.#statements, key)
      this.#requireInPlace()
    } catch (error) {
      if (isCallError(error)) throw error
      // Problems with the file are reported when it is tried again under the lock.
      return undefined
    }
    const { record, clock } = found
    const stepped = step(record, clock.nowMs)
    return stepped.record === record ? stepped : undefined
  }

  /**
   * Performs all writes in one transaction, or none, and notifies each of its result. Nothing is notified for
   * `'busy'` (another process is writing) and `'failed'` (one of several cannot be written, and it is unknown
   * which).
   */
  commit(writes: readonly Write[]): 'done' | 'busy' | 'failed' {
    let refused: ReadonlyMap<Write, unknown>
    try {
      const statements = this.#statements ?? this.#setUp()
      refused = inTransaction(this.#database, () => {
        this.#requireInPlace()
        return this.#writeAll(statements, writes)
      })
      // Checked before notifying: if the file was replaced meanwhile, other processes cannot see these writes.
      this.#requireInPlace()
    } catch (error) {
      if (isBusy(error)) return 'busy'
      if (writes.length > 1) return 'failed'
      writes[0]?.reject(this.#explained(this.#whyDisplaced() ?? error))
      return 'done'
    }
    for (const write of writes) {
      if (refused.has(write)) write.reject(refused.get(write))
      else write.done()
    }
    return 'done'
  }

  lockedFor(waitedMs: number): Error {
    return new Error(`${this.#here} has been locked by others for ${waitedMs} ms`)
  }

  close(): void {
    this.#sign?.end(this.#atWork.size > 0)
    this.#database.close()
  }

  get #here(): string {
    return `sqliteStore(): ${this.#name}`
  }

  #writeAll(statements: SqliteStatements, writes: readonly Write[]): ReadonlyMap<Write, unknown> {
    const refused = new Map<Write, unknown>()
    let clock: FileClock | undefined
    for (const write of writes) {
      const { key } = write
      let before: KeyRecord | undefined
      let after: KeyRecord | undefined
      let seen: FileClock
      try {
        // The clock is read under the lock, so that time does not go back between two processes.
        const found = this.#find(statements, key, clock)
        before = found.record
        seen = found.clock
        after = write.step(before, seen.nowMs)
      } catch (error) {
        if (!isCallError(error)) throw error
        refused.set(write, error)
        continue
      }
      if (after === before) continue
      if (after !== undefined) after = this.#signed(after, before)
      this.#noteWork(key, after)
      clock = seen
      // First, because a full file gains space by it. A few records with each write, so that no timer is
      // needed and no write takes long.
      statements.removeExpired.run(seen.nowMs, REMOVED_PER_WRITE)
      if (after === undefined) statements.remove.run(key)
      else statements.write.run(...toRow(key, after))
    }
    if (clock !== undefined) statements.setClock.run(clock.nowMs, clock.aheadMs)
    return refused
  }

  /** Adds the id of this process to a record with a new owner. Only claims create new owners. */
  #signed(after: KeyRecord, before: KeyRecord | undefined): KeyRecord {
    const isClaimed = after.state === 'claimed' && after.owner !== before?.owner
    return isClaimed ? { ...after, process: this.#sign?.give() } : after
  }

  #noteWork(key: string, after: KeyRecord | undefined): void {
    const isOurs = after?.process !== undefined && after.process === this.#sign?.id
    const isOpen = after?.state === 'claimed' || after?.state === 'dispatched'
    if (isOurs && isOpen) this.#atWork.add(key)
    else this.#atWork.delete(key)
  }

  /**
   * Ends the lease on this key, and all others of the same process, if that process is known to be dead.
   * Returns false if it is not, or if the file is locked.
   */
  endLeaseOfDead(key: string): boolean {
    if (this.#statements === undefined || this.#sign === undefined) return false
    const record = fromRow(rowOf(this.#statements.read, key), key)
    const process = record?.process
    return process !== undefined && this.#sign.isDead(process) && this.#endLeasesOf(process)
  }

  #endLeasesOf(process: string): boolean {
    try {
      inTransaction(this.#database, () => {
        this.#requireInPlace()
        this.#statements?.endLeases.run(process)
      })
      this.#sign?.remove(process)
      return true
    } catch {
      // Locked: the waiter tries again soon.
      return false
    }
  }

  /** Ends the leases of processes that ended without closing their store. */
  #clearAway(): void {
    const sign = this.#sign
    for (const id of sign?.others() ?? []) if (sign?.isDead(id)) this.#endLeasesOf(id)
  }

  #setUp(): SqliteStatements {
    prepareTables(this.#database)
    this.#limitSize()
    this.#files = [...this.#files.slice(0, 1), ...filesOf(this.#name)]
    this.#requireInPlace()
    this.#statements = statementsOf(this.#database)
    this.#sign = new OwnerSign(realpathSync(this.#name))
    this.#clearAway()
    return this.#statements
  }

  #find(statements: SqliteStatements, key: string, earlier?: FileClock): FoundRecord {
    const found = find(statements, key, this.#options.wallMs, earlier)
    if (found.fileMs < this.#seenMs) {
      this.#wentBack = true
      this.#requireInPlace()
    }
    this.#seenMs = found.fileMs
    return found
  }

  #requireInPlace(): void {
    const why = this.#whyDisplaced()
    if (why !== undefined) throw why
  }

  /**
   * A file that was removed or replaced can still be written, but a process that opens the path now gets
   * another file, so that two owners could get the same key. A file that was emptied or overwritten has lost
   * keys that were granted.
   */
  #whyDisplaced(): Error | undefined {
    const path = this.#wentBack ? this.#name : this.#files.find((file) => !isInPlace(file))?.path
    if (path === undefined) return undefined
    return new Error(
      `has been removed or replaced since it was opened (${path}): other processes do not see what this ` +
        'store has written. Restart this process, or close this store and open the path again',
    )
  }

  #limitSize(): void {
    const { maxFileBytes } = this.#options
    if (maxFileBytes === undefined) return
    const pageBytes = Number(this.#database.prepare('PRAGMA page_size').get()?.['page_size'])
    this.#database.exec(`PRAGMA max_page_count = ${Math.floor(maxFileBytes / pageBytes)}`)
  }

  #explained(error: unknown): Error {
    const what =
      WORDS.get(primaryCode(error)) ?? (error instanceof Error ? error.message : 'failed')
    return new Error(`${this.#here} ${what}`, { cause: error })
  }
}

const REMOVED_PER_WRITE = 3

/**
 * The file under its real path, and its log files, which exist while any process has the database open.
 * SQLite names the log after the real path. If the file is moved, it gets another log, even if a link is left
 * in its place.
 */
function filesOf(name: string): NamedFile[] {
  const real = realpathSync(name)
  return [real, `${real}-wal`, `${real}-shm`].map((path) => {
    const file = fileAt(path, true)
    if (file === undefined) throw new Error(`has lost its log: there is no ${path}`)
    // The log is emptied when its contents have been copied into the database.
    return { ...file, keepsData: path === real && file.size > 0n }
  })
}

/** SQLite's result codes (https://sqlite.org/rescode.html), worded to follow the path of the file. */
const WORDS: ReadonlyMap<number | undefined, string> = new Map([
  [8, 'is not writable'],
  [10, 'cannot be read or written: the disk or file system fails'],
  [11, 'is damaged'],
  [13, 'is full, or its disk is'],
  [14, 'cannot be opened: check that this process may read and write it and its directory'],
  [26, 'is not an SQLite database'],
])

/** Without SQLite's extended bits; undefined if the error is not SQLite's. */
function primaryCode(error: unknown): number | undefined {
  const code: unknown = Reflect.get(Object(error), 'errcode')
  return typeof code === 'number' ? code & 0xff : undefined
}

const SQLITE_BUSY = 5
// Two processes that open the file at the same time may collide in its log ("locking protocol").
const SQLITE_PROTOCOL = 15

function isBusy(error: unknown): boolean {
  const code = primaryCode(error)
  return code === SQLITE_BUSY || code === SQLITE_PROTOCOL
}

interface SqliteStatements {
  readonly read: StatementSync
  readonly write: StatementSync
  readonly remove: StatementSync
  readonly removeExpired: StatementSync
  readonly setClock: StatementSync
  readonly endLeases: StatementSync
}

function statementsOf(database: DatabaseSync): SqliteStatements {
  return {
    read: database.prepare(
      `SELECT clock.now_ms, clock.ahead_ms, record.* FROM clock
       LEFT JOIN record ON record.key = ? WHERE clock.id = 1`,
    ),
    write: database.prepare(
      'INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    ),
    remove: database.prepare('DELETE FROM record WHERE key = ?'),
    removeExpired: database.prepare(
      `DELETE FROM record WHERE rowid IN (SELECT rowid FROM record
       WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)`,
    ),
    endLeases: database.prepare(
      `UPDATE record SET lease_until_ms = 0
       WHERE state IN ('claimed', 'dispatched') AND substr(owner, -36) = ?`,
    ),
    setClock: database.prepare('UPDATE clock SET now_ms = ?, ahead_ms = ? WHERE id = 1'),
  }
}

interface FoundRecord {
  readonly record: KeyRecord | undefined
  /** The time stored in the file. */
  readonly fileMs: number
  readonly clock: FileClock
}

/**
 * The key's record unless it has expired, and the current time. `earlier` replaces the file's clock.
 * @throws {CallError} if the record cannot be read.
 */
function find(
  { read }: SqliteStatements,
  key: string,
  wallMs: () => number,
  earlier?: FileClock,
): FoundRecord {
  const row = rowOf(read, key)
  const kept = clockOf(row)
  const clock = advanced(earlier ?? kept, wallMs())
  const record = isOver(row, clock.nowMs) ? undefined : fromRow(row, key)
  return { record, fileMs: kept.nowMs, clock }
}

function rowOf(read: StatementSync, key: string): unknown {
  try {
    return read.get(key)
  } catch (error) {
    // SQLite holds a number beyond 2^53, which this package never writes.
    if (Reflect.get(Object(error), 'code') !== 'ERR_OUT_OF_RANGE') throw error
    throw unreadableRecord(key, 'a number', error)
  }
}

function isOver(row: unknown, nowMs: number): boolean {
  const expiresAtMs: unknown = Reflect.get(Object(row), 'expires_at_ms')
  return typeof expiresAtMs === 'number' && expiresAtMs <= nowMs
}

function clockOf(row: unknown): FileClock {
  const nowMs: unknown = Reflect.get(Object(row), 'now_ms')
  const aheadMs: unknown = Reflect.get(Object(row), 'ahead_ms')
  if (typeof nowMs === 'number' && typeof aheadMs === 'number') return { nowMs, aheadMs }
  throw new Error('is damaged: it has lost its clock')
}
