import type { Clock } from '../../../src/time.ts'

interface Timer {
  readonly atMs: number
  readonly callback: () => void
}

/** A clock that stands still until `advance`. Counts its timers, so that a leak shows. */
export class VirtualClock implements Clock {
  #nowMs = 0
  readonly #timers = new Set<Timer>()

  get armedTimers(): number {
    return this.#timers.size
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  schedule(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), callback }
    this.#timers.add(timer)
    return () => {
      this.#timers.delete(timer)
    }
  }

  /** Moves time on, firing what is due in order and letting promises settle after each. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    await settle()
    for (;;) {
      const next = this.#next()
      if (next === undefined || next.atMs > untilMs) break
      this.#timers.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.callback()
      await settle()
    }
    this.#nowMs = untilMs
    await settle()
  }

  /** Time passes and nothing runs, as in a process that is paused. */
  jump(ms: number): void {
    this.#nowMs += ms
  }

  #next(): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) {
      if (next === undefined || timer.atMs < next.atMs) next = timer
    }
    return next
  }
}

/** Lets every promise reaction that is due run. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
