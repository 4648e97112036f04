import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../../src/time.ts'

/** Time that stands still until told otherwise. Timers due at the same instant fire in order. */
export class VirtualClock implements Clock {
  #nowMs = 0
  #timers: { readonly atMs: number; readonly callback: () => void }[] = []

  /** Timers that have neither fired nor been cancelled. */
  get pendingTimers(): number {
    return this.#timers.length
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  schedule(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(delayMs, 0), callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Moves time without letting anything else run but the timers that fall due. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs
    for (;;) {
      const next = this.#next()
      if (next === undefined || next.atMs > untilMs) break
      this.#fire(next)
    }
    this.#nowMs = untilMs
  }

  /** Fires timers, earliest first, until `work` settles. */
  async run<T>(work: Promise<T>): Promise<T> {
    let settled = false
    const done = () => {
      settled = true
    }
    work.then(done, done)
    for (;;) {
      await setImmediate()
      if (settled) return work
      const next = this.#next()
      if (next === undefined) throw new Error('nothing is scheduled, and the work has not ended')
      this.#fire(next)
    }
  }

  #next(): { readonly atMs: number; readonly callback: () => void } | undefined {
    return this.#timers.toSorted((a, b) => a.atMs - b.atMs)[0]
  }

  #fire(timer: { readonly atMs: number; readonly callback: () => void }): void {
    this.#timers = this.#timers.filter((other) => other !== timer)
    this.#nowMs = Math.max(this.#nowMs, timer.atMs)
    timer.callback()
  }
}

/** Lets every promise that is already settled run its reactions; no timer and no I/O. */
export async function microtasks(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve()
}
