import { setImmediate } from 'node:timers/promises'
import { promiseHooks } from 'node:v8'
import type { Clock } from '../../src/time.ts'

/**
 * Time that moves one timer at a time, and lets nothing else run meanwhile: the test decides after
 * how many turns of the promises it looks, or intervenes. Its own kinds of waits are told apart:
 * `outside` is the provider's and the store's time, everything else was armed by the call.
 */
export class SteppedClock implements Clock {
  readonly #timers = new Set<{ dueMs: number; outside: boolean; callback: () => void }>()
  #nowMs = 0
  #wallOffsetMs = 1_767_225_600_000

  /** Timers of the calls. */
  get pending(): number {
    return [...this.#timers].filter(({ outside }) => !outside).length
  }

  wallMs(): number {
    return this.#wallOffsetMs + this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  schedule(delayMs: number, callback: () => void): () => void {
    return this.#add(delayMs, callback, false)
  }

  outside(delayMs: number, callback: () => void): () => void {
    return this.#add(delayMs, callback, true)
  }

  /** Waits of the provider and the store. */
  get pendingOutside(): number {
    return this.#timers.size - this.pending
  }

  /** Moves the wall clock alone. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms
  }

  /** Fires the timer that is due next, if there is one. */
  fireNext(): boolean {
    const next = [...this.#timers].toSorted((a, b) => a.dueMs - b.dueMs)[0]
    if (next === undefined) return false
    this.#timers.delete(next)
    this.#nowMs = Math.max(this.#nowMs, next.dueMs)
    next.callback()
    return true
  }

  #add(delayMs: number, callback: () => void, outside: boolean): () => void {
    const timer = { dueMs: this.#nowMs + Math.max(delayMs, 0), outside, callback }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }
}

let ran = 0

/** Counts continuations of promises from now on; the returned function ends that. */
export function countTurns(): () => void {
  // node's types call it a Function: it takes nothing and returns nothing
  return promiseHooks.onBefore(() => {
    ran += 1
  }) as () => void
}

/**
 * Lets the promises that are ready run one turn; where none was, what waits for the event loop;
 * where nothing did, fires the next timer. Needs `countTurns`.
 */
export async function oneStep(clock: SteppedClock): Promise<void> {
  if (await somethingRan(() => Promise.resolve())) return
  if (await somethingRan(() => setImmediate())) return
  clock.fireNext()
}

async function somethingRan(turn: () => Promise<unknown>): Promise<boolean> {
  const before = ran
  await turn()
  // One of them was this function's own.
  return ran - before > 1
}
