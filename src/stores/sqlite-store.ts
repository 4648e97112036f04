import { type Step, storeOf } from '../idempotency/record.ts'
import type { Store } from '../idempotency/store.ts'
import {
  clock as aClock,
  type Checks,
  checkOption,
  checkOptions,
  type OptionCheck,
  show,
} from '../options/option-check.ts'
import { type Clock, soon, systemClock } from '../time.ts'
import { SqliteFile, type Write } from './sqlite-file.ts'

export interface SqliteStoreOptions {
  /**
   * Maximum size of the file in bytes. A full file accepts no new claims or results until records expire.
   * @default no limit
   */
  readonly maxFileBytes?: number
  /** Its wall clock decides when leases and records expire. @default the system's clock */
  readonly clock?: Clock
}

/**
 * A store in a file, shared by all processes of one machine. What it has acknowledged survives restarts,
 * `kill -9` and, if the disk honours flushes, a power loss. The file is created if it does not exist (readable
 * by its owner only); its directory is not. It has to be on a local disk: SQLite's locks and shared memory do
 * not work over a network.
 *
 * No operation blocks the event loop while another process holds the lock: it tries again a few milliseconds
 * later, and rejects after four seconds. What does block the event loop is the commit itself, which waits for
 * the disk; all operations of one turn share one commit.
 *
 * `:memory:` is rejected; use `memoryStore()` instead.
 * @throws {TypeError} for an invalid path, or an invalid or unknown option.
 * @throws {Error} if this Node has no `node:sqlite`, or the file cannot be used: its directory does not exist,
 * it is not writable, it is not an SQLite database, or it belongs to another program or a newer version.
 */
export function sqliteStore(
  path: string | URL,
  options: SqliteStoreOptions = {},
): Store & { close(): Promise<void> } {
  const { maxFileBytes, clock = systemClock } = checked(path, options)
  const file = new SqliteFile(path, { maxFileBytes, wallMs: () => Math.floor(clock.wallMs()) })
  const turns = new Turns(file, clock)
  const verbs = storeOf((key, step) => turns.take(key, step))
  return {
    name: 'sqlite',
    ...verbs,
    async claim(request) {
      const answer = await verbs.claim(request)
      // If the owner's process has ended, its lease ends at once; the claim is then repeated.
      if (answer.state !== 'busy' || !file.endLeaseOfDead(request.key)) return answer
      return verbs.claim(request)
    },
    close: () => turns.close(),
  }
}

function checked(path: unknown, options: SqliteStoreOptions): SqliteStoreOptions {
  checkOption('sqliteStore()', 'path', path, PATH)
  checkOptions('sqliteStore()', options, OPTIONS)
  return options
}

const PATH: OptionCheck = {
  allowed: 'the path or file: URL of a file',
  accepts: (path) => (path instanceof URL ? path.protocol === 'file:' : isFileName(path)),
  got(path) {
    if (path instanceof URL) return `a URL that begins with ${path.protocol}`
    if (path === ':memory:') return "':memory:': use memoryStore() for that"
    return path === '' ? 'an empty string' : show(path)
  },
}

/** Space for the tables and a few records. */
const MIN_FILE_BYTES = 65_536

const OPTIONS: Checks = {
  maxFileBytes: {
    allowed: `an integer from ${MIN_FILE_BYTES}`,
    accepts: (value) => Number.isSafeInteger(value) && Number(value) >= MIN_FILE_BYTES,
  },
  clock: aClock,
}

function isFileName(path: unknown): path is string {
  // An empty path means a temporary database that SQLite deletes when it is closed.
  return typeof path === 'string' && path !== '' && path !== ':memory:' && !path.includes('\0')
}

/** How long other processes may lock the file. Shorter than the protocol waits for a store (5 s). */
const MAX_WAIT_MS = 4_000
/** Maximum number of operations per commit: a few milliseconds of work. */
const MAX_TOGETHER = 64
/** The longest pause between two tries; a commit of another process takes a few milliseconds. */
const MAX_PAUSE_MS = 50

interface WaitingWrite extends Write {
  readonly giveUpAtMs: number
  reject(error: unknown): void
}

/**
 * Queues operations that need to write, first come, first served. The operations of one turn of the event loop
 * share one commit. Only one of them tries to take the lock at a time, so that many waiters cost no more.
 */
class Turns {
  readonly #file: SqliteFile
  readonly #clock: Clock
  #waiting: WaitingWrite[] = []
  #running = false
  #missed = 0
  /** How many of the next operations are committed one by one. */
  #alone = 0
  #closing: Promise<void> | undefined
  #onIdle: () => void = () => {}

  constructor(file: SqliteFile, clock: Clock) {
    this.#file = file
    this.#clock = clock
  }

  async take<Answer>(key: string, step: Step<Answer>): Promise<Answer> {
    if (this.#closing !== undefined) throw new Error('sqliteStore(): the store is closed')
    // An operation that only reads needs no lock and does not queue.
    const seen = this.#file.look(key, step)
    if (seen !== undefined) return seen.answer
    return new Promise((resolve, reject) => {
      const giveUpAtMs = this.#clock.monotonicMs() + MAX_WAIT_MS
      let answer: Answer
      this.#waiting.push({
        key,
        giveUpAtMs,
        step(record, nowMs) {
          const stepped = step(record, nowMs)
          answer = stepped.answer
          return stepped.record
        },
        done: () => resolve(answer),
        reject,
      })
      if (!this.#running) this.#nextTurn()
    })
  }

  close(): Promise<void> {
    this.#closing ??= new Promise<void>((resolve) => {
      this.#onIdle = resolve
      if (!this.#running) resolve()
    }).then(() => this.#file.close())
    return this.#closing
  }

  #nextTurn(): void {
    this.#running = true
    soon(() => this.#turn())
  }

  #turn(): void {
    const together = this.#waiting.slice(0, this.#alone > 0 ? 1 : MAX_TOGETHER)
    const ended = this.#file.commit(together)
    if (ended === 'busy') {
      this.#pause()
      return
    }
    this.#missed = 0
    if (ended === 'failed') {
      // Committed one by one from here, so that one that is too large for the disk does not fail the others.
      this.#alone = together.length
    } else {
      this.#alone = Math.max(0, this.#alone - 1)
      this.#waiting = this.#waiting.slice(together.length)
    }
    if (this.#waiting.length > 0) this.#nextTurn()
    else this.#rest()
  }

  #rest(): void {
    this.#running = false
    this.#missed = 0
    this.#alone = 0
    this.#onIdle()
  }

  /** Full jitter up to a ceiling that doubles (as in `claimAndRun`), so that processes take turns. */
  #pause(): void {
    const nowMs = this.#clock.monotonicMs()
    const late = this.#waiting.filter(({ giveUpAtMs }) => giveUpAtMs <= nowMs)
    this.#waiting = this.#waiting.filter(({ giveUpAtMs }) => giveUpAtMs > nowMs)
    for (const { reject } of late) reject(this.#file.lockedFor(MAX_WAIT_MS))
    if (this.#waiting.length === 0) {
      this.#rest()
      return
    }
    const ceilingMs = Math.min(MAX_PAUSE_MS, 2 ** this.#missed++)
    this.#clock.schedule(1 + Math.random() * ceilingMs, () => this.#turn())
  }
}
