import { randomUUID } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { type KeyRecord, readNotice, unreadableRecord } from '../idempotency/record.ts'
import { fileAt, isInPlace, sqlite } from './sqlite-open.ts'

type Column = string | number | null

/** The columns of a record in the order of the table. Times are rounded up to whole milliseconds. */
export function toRow(key: string, record: KeyRecord): Column[] {
  const { state, fence, fingerprint, onUncertain, outcome, left } = record
  return [
    key,
    state,
    ownerColumn(record),
    fence,
    fingerprint,
    onUncertain,
    Math.ceil(record.leaseUntilMs),
    Math.ceil(record.expiresAtMs),
    left === undefined ? null : JSON.stringify(left.notice),
    left?.fence ?? null,
    left === undefined ? null : Math.ceil(left.untilMs),
    outcome?.ok === false ? JSON.stringify(outcome.notice) : null,
    outcome?.ok === true ? outcome.result : null,
  ]
}

/**
 * The record in a row; undefined if there is none. The contents of the file are not trusted.
 * @throws {CallError} if this version cannot have written the record.
 */
export function fromRow(row: unknown, key: string): KeyRecord | undefined {
  const column = (name: string): unknown => Reflect.get(Object(row), name)
  if (column('key') === null) return undefined
  const state = column('state')
  const owner = column('owner')
  const fence = column('fence')
  const fingerprint = column('fingerprint')
  const onUncertain = column('on_uncertain')
  const leaseUntilMs = column('lease_until_ms')
  const expiresAtMs = column('expires_at_ms')
  const outcome = outcomeIn(column, key)
  if (!isState(state)) throw unreadableRecord(key, 'its state')
  if ((state === 'settled') !== (outcome !== undefined)) throw unreadableRecord(key, 'its outcome')
  if (typeof owner !== 'string') throw unreadableRecord(key, 'its owner')
  if (!isCount(fence)) throw unreadableRecord(key, 'its fence')
  if (typeof fingerprint !== 'string') throw unreadableRecord(key, 'its fingerprint')
  if (onUncertain !== 'rerun' && onUncertain !== 'fail') {
    throw unreadableRecord(key, 'its onUncertain')
  }
  if (typeof leaseUntilMs !== 'number' || typeof expiresAtMs !== 'number') {
    throw unreadableRecord(key, 'its times')
  }
  const left = leftIn(column, key)
  return {
    state,
    ...ownerIn(owner),
    fence,
    fingerprint,
    onUncertain,
    leaseUntilMs,
    expiresAtMs,
    ...(outcome !== undefined && { outcome }),
    ...(left !== undefined && { left }),
  }
}

// Stored together with the owner rather than in a column of its own, so that earlier versions of steadycall can
// use the same file: they compare an owner only with their own.
const PROCESS_MARK = '\n@'

function ownerColumn({ owner, process }: KeyRecord): string {
  return process === undefined ? owner : `${owner}${PROCESS_MARK}${process}`
}

function ownerIn(column: string): Pick<KeyRecord, 'owner' | 'process'> {
  const at = column.lastIndexOf(PROCESS_MARK)
  const process = at < 0 ? '' : column.slice(at + PROCESS_MARK.length)
  return isOwnerId(process) ? { owner: column.slice(0, at), process } : { owner: column }
}

type Columns = (name: string) => unknown

function outcomeIn(column: Columns, key: string): KeyRecord['outcome'] {
  const result = column('result')
  const refusal = column('refusal')
  if (result === null && refusal === null) return undefined
  if (typeof result === 'string' && refusal === null) return { ok: true, result }
  const notice = result === null ? readNotice(refusal) : undefined
  if (notice === undefined) throw unreadableRecord(key, 'its outcome')
  return { ok: false, notice }
}

function leftIn(column: Columns, key: string): KeyRecord['left'] {
  const fence = column('left_fence')
  const untilMs = column('left_until_ms')
  const text = column('left_notice')
  if (fence === null && untilMs === null && text === null) return undefined
  const notice = readNotice(text)
  if (notice === undefined || !isCount(fence) || typeof untilMs !== 'number') {
    throw unreadableRecord(key, 'its notice')
  }
  return { fence, notice, untilMs }
}

const STATES: readonly unknown[] = [
  'claimed',
  'dispatched',
  'uncertain',
  'settled',
  'free',
] satisfies readonly KeyRecord['state'][]

function isState(value: unknown): value is KeyRecord['state'] {
  return STATES.includes(value)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 1
}

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
function isOwnerId(id: string): boolean {
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
