import { randomUUID } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { fileAt, isInPlace } from './named-file.ts'
import { sqlite } from './sqlite-open.ts'

/**
 * The sign that the process which has a store open is alive: an empty file beside the database, of
 * which it holds SQLite's exclusive lock from before its first claim. The kernel gives that up when the
 * process is gone, however it went, and not before: a suspended process keeps it, a number that is used
 * again proves nothing, and processes of two containers that share a disk see each other's. A file that
 * cannot be found or opened says nothing.
 */
export class OwnerSign {
  readonly id: string = randomUUID()
  readonly #database: string
  #lock: DatabaseSync | undefined
  #failed = false

  /** `database`: the real path of the file that the sign lies beside. */
  constructor(database: string) {
    this.#database = database
  }

  /** The id for a claim that is about to be made; undefined where the sign cannot be given. */
  give(): string | undefined {
    if (this.#lock === undefined && !this.#failed) {
      this.#lock = locked(signPath(this.#database, this.id))
      // Not tried with every claim. Their leases run out by themselves.
      this.#failed = this.#lock === undefined
    }
    return this.#lock === undefined ? undefined : this.id
  }

  /** Takes the sign back, unless work is under way that others must not take for dead. */
  end(isAtWork: boolean): void {
    if (this.#lock === undefined) return
    if (isAtWork) {
      keptToTheEnd.add(this.#lock)
      return
    }
    this.#lock.close()
    this.remove(this.id)
    this.#lock = undefined
  }

  /** Is the process behind this id gone for certain? */
  isDead(id: string): boolean {
    if (id === this.id) return false
    const path = signPath(this.#database, id)
    const before = fileAt(path, true)
    if (before === undefined) return false
    const lock = locked(path)
    // Opened by name, so it may be another file that SQLite has just made.
    const isSame = isInPlace(before)
    lock?.close()
    return lock !== undefined && isSame
  }

  /** All other ids that have a sign here. */
  others(): readonly string[] {
    const start = `${basename(this.#database)}${MIDDLE}`
    try {
      return readdirSync(dirname(this.#database))
        .filter((name) => name.startsWith(start) && isOwnerId(name.slice(start.length)))
        .map((name) => name.slice(start.length))
        .filter((id) => id !== this.id)
    } catch {
      // A directory that may not be listed.
      return []
    }
  }

  /** Takes away the sign of a process that is gone, or has no claims. */
  remove(id: string): void {
    try {
      rmSync(signPath(this.#database, id), { force: true })
    } catch {
      // Another user's, or a directory that is only to be read.
    }
  }
}

// A store that is closed while its work goes on: the lock would go with the connection, which the
// garbage collector closes. They end with the process.
const keptToTheEnd = new Set<DatabaseSync>()

const MIDDLE = '-owner-'

function signPath(database: string, id: string): string {
  return join(dirname(database), `${basename(database)}${MIDDLE}${id}`)
}

const OWNER_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** The id of a process, as it is written beside an owner. */
export function isOwnerId(id: string): boolean {
  return OWNER_ID.test(id)
}

/** Undefined where somebody has the lock, or it cannot be taken. Never waits, and writes nothing. */
function locked(path: string): DatabaseSync | undefined {
  let database: DatabaseSync | undefined
  try {
    database = new (sqlite().DatabaseSync)(path)
    database.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    return database
  } catch {
    database?.close()
    return undefined
  }
}
