import { type Step, storeOf } from '../idempotency/record.ts'
import type { Store } from '../idempotency/store.ts'
import {
  clock as aClock,
  type Check,
  type Checks,
  checkOption,
  checkOptions,
  show,
} from '../options/option-check.ts'
import { type Clock, soon, systemClock } from '../time.ts'
import { SqliteFile, type Write } from './sqlite-file.ts'

export interface SqliteStoreOptions {
  /**
   * How large the file may grow. Full, it takes no new claim and no result until records expire.
   * @default no limit but the disk's
   */
  readonly maxFileBytes?: number
  /** Its wall clock counts. @default the system's clock */
  readonly clock?: Clock
}

/**
 * A store in a file, for all processes of one machine. What it has acknowledged survives restarts,
 * `kill -9` and the loss of power, as far as the disk keeps its word. The file is made if it does
 * not exist (readable by its owner only), its directory is not. On a disk of this machine: SQLite's
 * locks and shared memory do not work over a network.
 *
 * Verbs never wait for another process's lock on the event loop: it is tried again a few
 * milliseconds later, for four seconds in all, after which the verb rejects. What runs on the loop
 * is the work itself: a commit, which waits for the disk; verbs of one turn of the loop share one.
 *
 * `:memory:` is refused: that is what `memoryStore()` is for.
 * @throws {TypeError} for a path or option that is not as documented.
 * @throws {Error} where this Node has no `node:sqlite`, and for a file that cannot be used: its
 * directory is not there, it may not be written, it is no SQLite database, another program's, or
 * was written by a newer version.
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
      // The lease of a process that is gone ends at once; what follows is as when one has run out.
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

const PATH: Check = {
  allowed: 'the path or file: URL of a file',
  accepts: (path) => (path instanceof URL ? path.protocol === 'file:' : isFileName(path)),
  got(path) {
    if (path instanceof URL) return `a URL that begins with ${path.protocol}`
    if (path === ':memory:') return "':memory:': for that there is memoryStore()"
    return path === '' ? 'an empty string' : show(path)
  },
}

/** Room for the tables and a few records. */
const MIN_FILE_BYTES = 65_536

const OPTIONS: Checks = {
  maxFileBytes: {
    allowed: `an integer from ${MIN_FILE_BYTES}`,
    accepts: (value) => Number.isSafeInteger(value) && Number(value) >= MIN_FILE_BYTES,
  },
  clock: aClock,
}

function isFileName(path: unknown): path is string {
  // An empty one is a database that SQLite forgets when it is closed.
  return typeof path === 'string' && path !== '' && path !== ':memory:' && !path.includes('\0')
}

/** How long others may have the file locked. Shorter than the protocol waits for a store. */
const MAX_WAIT_MS = 4_000
/** How many verbs one commit may hold: some milliseconds of work. */
const MAX_TOGETHER = 64
/** The longest pause between two tries: a commit of another process takes a few milliseconds. */
const MAX_PAUSE_MS = 50

interface Waiting extends Write {
  readonly giveUpAtMs: number
  reject(error: unknown): void
}

/**
 * Who wants to write, first come first served. One turn of the event loop's verbs are one commit;
 * only one of a process tries for the lock at a time, so that a crowd of waiters costs no more.
 */
class Turns {
  readonly #file: SqliteFile
  readonly #clock: Clock
  #waiting: Waiting[] = []
  #running = false
  #missed = 0
  /** How many of the next are to be committed by themselves. */
  #alone = 0
  #closing: Promise<void> | undefined
  #onIdle: () => void = () => {}

  constructor(file: SqliteFile, clock: Clock) {
    this.#file = file
    this.#clock = clock
  }

  async take<Answer>(key: string, step: Step<Answer>): Promise<Answer> {
    if (this.#closing !== undefined) throw new Error('sqliteStore(): the store is closed')
    // Who only looks needs no lock, and no place in the line.
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
      // One that is too large for what is left of the disk must not take the others with it.
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

  /** Full jitter up to a ceiling that doubles (as `once` polls), so that processes take turns. */
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
