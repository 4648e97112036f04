import type { Clock } from '../time.ts'
import { type NumberOptions, readNumbers } from './number-options.ts'

export interface ConcurrencyOptions {
  /** Attempts in flight on one target at the same time; streams count until they have ended. */
  readonly maxInFlight: number
  /** Attempts that may wait for a place; one more is refused at once. @default 200 */
  readonly maxQueued?: number | undefined
  /** Longest wait for a place, milliseconds. @default the call's deadline */
  readonly maxWaitMs?: number | undefined
}

/** Leave to be in flight. */
export interface Slot {
  /** Gives the place to whoever waits longest; only the first time counts. */
  readonly release: () => void
}

/** Why no place was had. */
export type NoSlot = 'queue full' | 'waited too long' | 'aborted'

/**
 * The attempts one target is sent at the same time, with a queue in front that is bounded in
 * length and in time: without both, an overload turns into answers nobody waits for any more
 * ("Handling Overload", Google SRE book, ch. 21). First come, first served; whoever aborts leaves
 * the queue at once.
 */
export class Slots {
  readonly #clock: Clock
  readonly #maxInFlight: number
  readonly #maxQueued: number
  readonly #maxWaitMs: number
  /** In order of arrival: a Set keeps it, and lets one in the middle leave in constant time. */
  readonly #waiting = new Set<(slot: Slot) => void>()
  #inFlight = 0

  /** @throws TypeError, RangeError for a bad option. */
  constructor(options: ConcurrencyOptions | number, clock: Clock) {
    const read = readConcurrency(options)
    this.#clock = clock
    this.#maxInFlight = read.maxInFlight
    this.#maxQueued = read.maxQueued
    this.#maxWaitMs = read.maxWaitMs
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get queued(): number {
    return this.#waiting.size
  }

  /** A place that is free now; nobody overtakes those who wait. */
  tryAcquire(): Slot | undefined {
    if (this.#inFlight >= this.#maxInFlight || this.#waiting.size > 0) return undefined
    this.#inFlight += 1
    return this.#slot()
  }

  /** A place as soon as there is one, within `maxWaitMs` and `latestMs`. Never rejects. */
  async acquire(latestMs: number, signal: AbortSignal | undefined): Promise<Slot | NoSlot> {
    const free = this.tryAcquire()
    if (free !== undefined) return free
    if (signal?.aborted) return 'aborted'
    if (this.#waiting.size >= this.#maxQueued) return 'queue full'
    return this.#wait(Math.min(this.#maxWaitMs, latestMs), signal)
  }

  #wait(waitMs: number, signal: AbortSignal | undefined): Promise<Slot | NoSlot> {
    return new Promise((resolve) => {
      const leave = (outcome: Slot | NoSlot) => {
        this.#waiting.delete(leave)
        cancelTimer()
        signal?.removeEventListener('abort', onAbort)
        resolve(outcome)
      }
      const onAbort = () => leave('aborted')
      const cancelTimer = this.#clock.schedule(Math.max(waitMs, 0), () => leave('waited too long'))
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.add(leave)
    })
  }

  #slot(): Slot {
    let held = true
    return {
      release: () => {
        if (!held) return
        held = false
        const [next] = this.#waiting
        // The place changes hands without ever being free: nobody can slip in between.
        if (next === undefined) this.#inFlight -= 1
        else next(this.#slot())
      },
    }
  }
}

/** @throws TypeError, RangeError naming the option, its value and what is accepted. */
export function readConcurrency(
  given: ConcurrencyOptions | number,
): Record<keyof ConcurrencyOptions, number> {
  const options = typeof given === 'number' ? { maxInFlight: given } : given
  const read = readNumbers('concurrency', options, CONCURRENCY_NUMBERS)
  for (const name of WHOLE_NUMBERS) {
    if (Number.isInteger(read[name])) continue
    throw new RangeError(`concurrency: ${name} is ${read[name]}; accepted is a whole number`)
  }
  return read
}

export const CONCURRENCY_NUMBERS: NumberOptions<keyof ConcurrencyOptions> = {
  maxInFlight: { fallback: Number.NaN, min: 1, max: 1_000_000 },
  maxQueued: { fallback: 200, min: 0, max: 1_000_000 },
  maxWaitMs: { fallback: Infinity, min: 0, max: Infinity },
}

const WHOLE_NUMBERS = ['maxInFlight', 'maxQueued'] as const
