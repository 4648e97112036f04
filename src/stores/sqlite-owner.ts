import { randomUUID } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { fileAt, isInPlace } from './named-file.ts'
import { sqlite } from './sqlite-open.ts'

/**
 * Shows other processes that this one is alive: an empty file next to the database, on which the process holds
 * SQLite's exclusive lock from before its first claim. The kernel releases the lock when the process ends for
 * any reason, and not before. So a suspended process keeps it, a reused process id proves nothing, and two
 * containers that share a disk see each other's processes. A file that is missing or cannot be opened proves
 * nothing.
 */
export class OwnerSign {
  readonly id: string = randomUUID()
  readonly #database: string
  #lock: DatabaseSync | undefined
  #failed = false

  /** `database`: the real path of the database file. */
  constructor(database: string) {
    this.#database = database
  }

  /** The process id for a new claim; undefined if the lock cannot be taken. */
  give(): string | undefined {
    if (this.#lock === undefined && !this.#failed) {
      this.#lock = locked(signPath(this.#database, this.id))
      // Not retried for every claim; without it the leases simply expire.
      this.#failed = this.#lock === undefined
    }
    return this.#lock === undefined ? undefined : this.id
  }

  /** Removes the sign, unless work is in progress whose process must not appear dead. */
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

  /** Whether the process with this id has certainly ended. */
  isDead(id: string): boolean {
    if (id === this.id) return false
    const path = signPath(this.#database, id)
    const before = fileAt(path, true)
    if (before === undefined) return false
    const lock = locked(path)
    // Opened by path, so SQLite may have created a new file instead.
    const isSame = isInPlace(before)
    lock?.close()
    return lock !== undefined && isSame
  }

  /** The ids of all other processes that have a sign here. */
  others(): readonly string[] {
    const start = `${basename(this.#database)}${MIDDLE}`
    try {
      return readdirSync(dirname(this.#database))
        .filter((name) => name.startsWith(start) && isOwnerId(name.slice(start.length)))
        .map((name) => name.slice(start.length))
        .filter((id) => id !== this.id)
    } catch {
      // The directory may not be listed.
      return []
    }
  }

  /** Removes the sign of a process that has ended or has no claims. */
  remove(id: string): void {
    try {
      rmSync(signPath(this.#database, id), { force: true })
    } catch {
      // It belongs to another user, or the directory is read-only.
    }
  }
}

// Locks of stores that were closed while work continued. The garbage collector would close the connection
// and so release the lock; kept here, it lasts until the process ends.
const keptToTheEnd = new Set<DatabaseSync>()

const MIDDLE = '-owner-'

function signPath(database: string, id: string): string {
  return join(dirname(database), `${basename(database)}${MIDDLE}${id}`)
}

const OWNER_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Whether this is the id of a process, as stored next to an owner. */
export function isOwnerId(id: string): boolean {
  return OWNER_ID.test(id)
}

/** Undefined if another process has the lock or it cannot be taken. Never waits, and writes nothing. */
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
