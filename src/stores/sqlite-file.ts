import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { isCallError } from '../errors/call-error.ts'
import type { KeyRecord, Step, Stepped } from '../idempotency/record.ts'
import { unreadableRecord } from '../idempotency/unreadable-record.ts'
import { advanced, type FileClock } from './file-clock.ts'
import { fileAt, isInPlace, type NamedFile } from './named-file.ts'
import { inTransaction, openDatabase, prepareTables, sqlite } from './sqlite-open.ts'
import { OwnerSign } from './sqlite-owner.ts'
import { fromRow, toRow } from './sqlite-row.ts'

/** One record to be read, decided about and written. */
export interface Write {
  readonly key: string
  /** Answers with the record afterwards, as `Step` does. May reject its record by throwing. */
  step(record: KeyRecord | undefined, nowMs: number): KeyRecord | undefined
  /** Called once it is on the disk. */
  done(): void
  reject(error: unknown): void
}

export interface SqliteFileOptions {
  readonly maxFileBytes?: number | undefined
  /** Whole milliseconds. */
  readonly wallMs: () => number
}

/** The records of a store in an SQLite file. Every method is synchronous and waits for no lock. */
export class SqliteFile {
  readonly #name: string
  readonly #database: DatabaseSync
  readonly #options: SqliteFileOptions
  /** What it has open: the database as it was named, and once that is set up its own name and log. */
  #files: readonly NamedFile[]
  #statements: Statements | undefined
  #sign: OwnerSign | undefined
  /** The file's time when it was last read: it goes back where somebody writes an older state over it. */
  #seenMs = 0
  #wentBack = false
  /** Keys of claims made here whose work has not ended. */
  readonly #atWork = new Set<string>()

  /** @throws {Error} for a file that cannot be used. */
  constructor(path: string | URL, options: SqliteFileOptions) {
    // Whole, so that the name goes on meaning the same when the process changes its directory.
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
      // Here a short wait is no harm: this is where a process starts.
      this.#database.exec('PRAGMA busy_timeout = 100')
      this.#setUp()
    } catch (error) {
      // Somebody else sets it up: the first verb looks again.
      if (!isBusy(error)) {
        this.#database.close()
        throw this.#explained(error)
      }
    }
    this.#database.exec('PRAGMA busy_timeout = 0')
  }

  /**
   * What the step answers where it has nothing to write; undefined where it has, or cannot be told.
   * @throws {CallError} for a record that cannot be read.
   */
  look<Answer>(key: string, step: Step<Answer>): Stepped<Answer> | undefined {
    if (this.#statements === undefined) return undefined
    let found: Found
    try {
      found = this.#find(this.#statements, key)
      this.#requireInPlace()
    } catch (error) {
      if (isCallError(error)) throw error
      // What is wrong with the file comes out when it is tried again under the lock.
      return undefined
    }
    const { record, clock } = found
    const stepped = step(record, clock.nowMs)
    return stepped.record === record ? stepped : undefined
  }

  /**
   * Does all of them in one transaction, or none, and tells each how it ended. Nobody was told
   * anything: `'busy'` when somebody else is writing, `'failed'` when one of several cannot be
   * written, and it is not known which.
   */
  commit(writes: readonly Write[]): 'done' | 'busy' | 'failed' {
    let refused: ReadonlyMap<Write, unknown>
    try {
      const statements = this.#statements ?? this.#setUp()
      refused = inTransaction(this.#database, () => {
        this.#requireInPlace()
        return this.#writeAll(statements, writes)
      })
      // Before anybody is told: what was written elsewhere meanwhile is seen by nobody.
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

  #writeAll(statements: Statements, writes: readonly Write[]): ReadonlyMap<Write, unknown> {
    const refused = new Map<Write, unknown>()
    let clock: FileClock | undefined
    for (const write of writes) {
      const { key } = write
      let before: KeyRecord | undefined
      let after: KeyRecord | undefined
      let seen: FileClock
      try {
        // The wall clock is read under the lock: no two processes see the time go back between them.
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
      // First, since a file that is full gets room by it. A little with each, so that no timer is
      // needed and none has to wait for long.
      statements.removeExpired.run(seen.nowMs, REMOVED_PER_WRITE)
      if (after === undefined) statements.remove.run(key)
      else statements.write.run(...toRow(key, after))
    }
    if (clock !== undefined) statements.setClock.run(clock.nowMs, clock.aheadMs)
    return refused
  }

  /** A new owner is one of this process: only who claims makes one. */
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
   * Ends the lease on this key at once, and all others of its process, where that is known to be gone.
   * False where it is not, or the file is locked just now.
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
      // Locked: the waiter asks again soon.
      return false
    }
  }

  /** What processes have left that ended without closing their store. */
  #clearAway(): void {
    const sign = this.#sign
    for (const id of sign?.others() ?? []) if (sign?.isDead(id)) this.#endLeasesOf(id)
  }

  #setUp(): Statements {
    prepareTables(this.#database)
    this.#limitSize()
    this.#files = [...this.#files.slice(0, 1), ...filesOf(this.#name)]
    this.#requireInPlace()
    this.#statements = statementsOf(this.#database)
    this.#sign = new OwnerSign(realpathSync(this.#name))
    this.#clearAway()
    return this.#statements
  }

  #find(statements: Statements, key: string, earlier?: FileClock): Found {
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
   * A file that was removed or replaced by another is still ours to write, but a process that opens the
   * name now gets another one: the same key would be given to both. What was emptied or written over
   * has lost keys that were given.
   */
  #whyDisplaced(): Error | undefined {
    const path = this.#wentBack ? this.#name : this.#files.find((file) => !isInPlace(file))?.path
    if (path === undefined) return undefined
    return new Error(
      `has been removed or replaced since it was opened (${path}): others do not have what this store ` +
        'has written. Restart this process, or close this store and open the path anew',
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
 * The file under its own name, and its log, which stays as long as anybody has the database open.
 * SQLite names that after the file itself, wherever a symbolic link to it may be: moved, it gets
 * another, though a link be left in its place.
 */
function filesOf(name: string): NamedFile[] {
  const real = realpathSync(name)
  return [real, `${real}-wal`, `${real}-shm`].map((path) => {
    const file = fileAt(path, true)
    if (file === undefined) throw new Error(`has lost its log: there is no ${path}`)
    // The log is emptied when all that is in it has come into the file.
    return { ...file, keepsData: path === real && file.size > 0n }
  })
}

/** SQLite's result codes (https://sqlite.org/rescode.html) as the end of a sentence on the file. */
const WORDS: ReadonlyMap<number | undefined, string> = new Map([
  [8, 'may not be written'],
  [10, 'cannot be read or written: the disk or file system fails'],
  [11, 'is damaged'],
  [13, 'is full, or its disk is'],
  [14, 'cannot be opened: may this process read and write it and its directory?'],
  [26, 'is no SQLite database'],
])

/** Without what SQLite adds in the higher bits; undefined for an error that is not SQLite's. */
function primaryCode(error: unknown): number | undefined {
  const code: unknown = Reflect.get(Object(error), 'errcode')
  return typeof code === 'number' ? code & 0xff : undefined
}

const SQLITE_BUSY = 5
// Two processes that open the file at the same time may meet in its log (SQLite: "locking protocol").
const SQLITE_PROTOCOL = 15

function isBusy(error: unknown): boolean {
  const code = primaryCode(error)
  return code === SQLITE_BUSY || code === SQLITE_PROTOCOL
}

interface Statements {
  readonly read: StatementSync
  readonly write: StatementSync
  readonly remove: StatementSync
  readonly removeExpired: StatementSync
  readonly setClock: StatementSync
  readonly endLeases: StatementSync
}

function statementsOf(database: DatabaseSync): Statements {
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

interface Found {
  readonly record: KeyRecord | undefined
  /** As the file has it. */
  readonly fileMs: number
  readonly clock: FileClock
}

/**
 * The key's record while its time is not up, and that time. `clock` instead of the file's.
 * @throws {CallError} for a record that cannot be read.
 */
function find({ read }: Statements, key: string, wallMs: () => number, earlier?: FileClock): Found {
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
    // No number that we write is beyond 2^53.
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
