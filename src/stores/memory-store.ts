import { isAlive, isLeased, type KeyRecord, storeOf } from '../idempotency/record.ts'
import type { Store } from '../idempotency/store.ts'
import { clock as aClock, type Checks, checkOptions } from '../options/option-check.ts'
import { type Clock, systemClock } from '../time.ts'

export interface MemoryStoreOptions {
  /**
   * Maximum number of records. When it is exceeded, the least recently used outcome is evicted; an active
   * claim or an uncertain record never is.
   * @default 10_000
   */
  readonly maxEntries?: number
  /** @default the system's clock */
  readonly clock?: Clock
}

/**
 * A store in this process's memory, which does not survive the process. Every operation is one synchronous
 * step, so within the process it fulfils the whole `Store` contract.
 *
 * `claim` rejects while `maxEntries` active claims leave no room for another.
 * @throws {TypeError} for an invalid or unknown option.
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  checkOptions('memoryStore()', options, OPTIONS)
  const { maxEntries = 10_000, clock = systemClock } = options
  const records = new Records(maxEntries, clock)
  return {
    name: 'memory',
    ...storeOf(async (key, step) => {
      const record = records.get(key)
      const stepped = step(record, records.nowMs())
      if (stepped.record === undefined) records.delete(key)
      else if (stepped.record !== record) records.put(key, stepped.record)
      return stepped.answer
    }),
  }
}

const OPTIONS: Checks = {
  maxEntries: {
    allowed: 'a positive integer',
    accepts: (value) => Number.isSafeInteger(value) && Number(value) > 0,
  },
  clock: aClock,
}

/** A bounded map that keeps evictable records apart from all others, each in order of last use. */
class Records {
  readonly #open = new Map<string, KeyRecord>()
  readonly #evictable = new Map<string, KeyRecord>()
  readonly #maxEntries: number
  readonly #clock: Clock

  constructor(maxEntries: number, clock: Clock) {
    this.#maxEntries = maxEntries
    this.#clock = clock
  }

  nowMs(): number {
    return this.#clock.monotonicMs()
  }

  /** The key's record, unless it has expired. Counts as a use. */
  get(key: string): KeyRecord | undefined {
    const record = this.#open.get(key) ?? this.#evictable.get(key)
    if (record === undefined) return undefined
    if (!isAlive(record, this.nowMs())) {
      this.delete(key)
      return undefined
    }
    if (this.#evictable.delete(key)) this.#evictable.set(key, record)
    return record
  }

  put(key: string, record: KeyRecord): void {
    const isNew = !this.#open.has(key) && !this.#evictable.has(key)
    if (isNew) this.#makeRoom()
    this.delete(key)
    const evictable = record.state === 'settled' || record.state === 'free'
    const home = evictable ? this.#evictable : this.#open
    home.set(key, record)
  }

  delete(key: string): void {
    this.#open.delete(key)
    this.#evictable.delete(key)
  }

  #makeRoom(): void {
    this.#dropExpired()
    if (this.#size < this.#maxEntries) return
    for (const key of this.#evictable.keys()) {
      this.#evictable.delete(key)
      return
    }
    for (const [key, record] of this.#open) if (this.#isDead(record)) this.#open.delete(key)
    if (this.#size < this.#maxEntries) return
    throw new Error(
      `The memory store is full: all of its ${this.#maxEntries} records are live claims or ` +
        'uncertain. Raise maxEntries.',
    )
  }

  get #size(): number {
    return this.#open.size + this.#evictable.size
  }

  /** Removes expired records from the front with each new record, so that no timer is needed. */
  #dropExpired(): void {
    const nowMs = this.nowMs()
    for (const [key, record] of this.#evictable) {
      if (isAlive(record, nowMs)) return
      this.#evictable.delete(key)
    }
  }

  /** Whether the next claim would take the record over anyway, so that forgetting it changes nothing. */
  #isDead(record: KeyRecord): boolean {
    const nowMs = this.nowMs()
    if (!isAlive(record, nowMs)) return true
    if (record.state === 'uncertain' || isLeased(record, nowMs)) return false
    return record.state === 'claimed' || record.onUncertain === 'rerun'
  }
}
