// Imported rather than global, so that fake timers cannot stop the virtual clock.
import { setImmediate } from 'node:timers'
import type { Clock } from '../time.ts'
import { checkNumber } from './exchange.ts'

/** A clock that only moves when told to. */
export interface VirtualClock extends Clock {
  /** Number of scheduled timers that have neither fired nor been cancelled. */
  readonly pending: number
  /**
   * Moves both clocks forward by `ms` milliseconds and fires every timer that becomes due, in order of time
   * and, at the same instant, in the order of scheduling. During a callback the clock shows that timer's due
   * time. A timer scheduled meanwhile fires in the same call if it becomes due.
   *
   * Before the first timer, after each timer and at the end, pending promise chains and immediates run. Real
   * I/O does not: await it separately, then advance.
   *
   * @throws RangeError if `ms` is negative or not finite; Error while another advance is running; whatever a
   * timer's callback throws (the clock then stays at that timer).
   */
  advance(ms: number): Promise<void>
  /**
   * Advances to the next due timer and fires it, with all others due at the same instant. Resolves to the
   * number of milliseconds advanced.
   *
   * @throws Error if no timer is scheduled that will ever be due.
   */
  advanceToNext(): Promise<number>
  /**
   * Moves only the wall clock, like an NTP correction or a laptop waking up; negative values move it back. No
   * timer fires, and the monotonic clock does not move.
   *
   * @throws RangeError if `ms` is not finite.
   */
  jumpWall(ms: number): void
}

interface Timer {
  readonly dueMs: number
  readonly callback: () => void
}

/**
 * Virtual time for tests: waiting an hour takes no time, and a test can check the state one millisecond before an
 * instant and exactly at it.
 *
 * The wall clock starts at `startMs` (milliseconds since the epoch, default 0) and the monotonic clock at 0, so
 * that code which confuses the two can be detected.
 *
 * @example
 * const clock = virtualClock()
 * const waited = sleep(clock, 60_000)
 * await clock.advance(60_000)
 * await waited
 */
export function virtualClock(startMs = 0): VirtualClock {
  checkNumber('virtualClock: startMs', startMs, { min: -Number.MAX_VALUE })
  const timers = new Set<Timer>()
  let nowMs = 0
  let wallOffsetMs = startMs
  let advancing = false

  async function runUntil(endMs: number): Promise<void> {
    await settle()
    for (let timer = nextDue(timers); timer; timer = nextDue(timers)) {
      if (timer.dueMs > endMs) break
      timers.delete(timer)
      nowMs = timer.dueMs
      timer.callback()
      await settle()
    }
    nowMs = endMs
  }

  async function exclusively<T>(run: () => Promise<T>): Promise<T> {
    if (advancing) {
      throw new Error('virtualClock: already advancing; await the first advance before the next')
    }
    advancing = true
    try {
      return await run()
    } finally {
      advancing = false
    }
  }

  return {
    get pending() {
      return timers.size
    },
    wallMs: () => nowMs + wallOffsetMs,
    monotonicMs: () => nowMs,
    schedule(delayMs, callback) {
      // A real timer would fire at once for NaN, which would hide the bug that produced it.
      if (Number.isNaN(delayMs)) throw new RangeError('virtualClock: schedule was given NaN')
      const timer: Timer = { dueMs: nowMs + Math.max(delayMs, 0), callback }
      timers.add(timer)
      return () => {
        timers.delete(timer)
      }
    },
    async advance(ms) {
      checkNumber('virtualClock: advance(ms)', ms, { min: 0 })
      await exclusively(() => runUntil(nowMs + ms))
    },
    advanceToNext: () =>
      exclusively(async () => {
        await settle()
        const next = nextDue(timers)
        if (!next || next.dueMs === Number.POSITIVE_INFINITY) {
          throw new Error('virtualClock: advanceToNext found no timer armed')
        }
        const fromMs = nowMs
        await runUntil(next.dueMs)
        return next.dueMs - fromMs
      }),
    jumpWall(ms) {
      checkNumber('virtualClock: jumpWall(ms)', ms, { min: -Number.MAX_VALUE })
      wallOffsetMs += ms
    },
  }
}

/** The timer due next; of several due at once, the one scheduled first (a Set keeps that order). */
function nextDue(timers: ReadonlySet<Timer>): Timer | undefined {
  let first: Timer | undefined
  for (const timer of timers) {
    if (first === undefined || timer.dueMs < first.dueMs) first = timer
  }
  return first
}

/**
 * Lets all code run that waits for neither timers nor I/O. One immediate runs after all pending microtasks; the
 * second is for code that uses an immediate itself.
 */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve)
    })
  }
}
