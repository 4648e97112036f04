// Taken once, from the module: fake timers that replace the global cannot stop the virtual clock.
import { setImmediate } from 'node:timers'
import type { Clock } from '../time.ts'
import { checkNumber } from './check-options.ts'

/** A clock that stands still until it is told to move. */
export interface VirtualClock extends Clock {
  /** Timers armed and neither fired nor cancelled. */
  readonly pending: number
  /**
   * Moves both clocks on by `ms` and fires every timer that falls due on the way, in time order and,
   * at the same instant, in the order they were armed. During a callback the clock shows that
   * timer's own time, and a timer armed on the way fires in the same call if it falls due.
   *
   * Before the first timer, after each one and at the end, promise chains and immediates run out.
   * Real I/O does not: await it apart, then advance.
   *
   * @throws RangeError for a negative or not finite `ms`; Error while another advance is running;
   * whatever a timer's callback throws, with the clock left at that timer.
   */
  advance(ms: number): Promise<void>
  /**
   * Advances to the timer that falls due next and fires it, with all others of the same instant.
   * Resolves to the milliseconds moved.
   *
   * @throws Error when no timer is armed that will ever fall due.
   */
  advanceToNext(): Promise<number>
  /**
   * Moves the wall clock alone, as an NTP correction or a resumed laptop does; negative is back.
   * No timer fires and the monotonic clock does not move.
   *
   * @throws RangeError when `ms` is not finite.
   */
  jumpWall(ms: number): void
}

interface Timer {
  readonly dueMs: number
  readonly callback: () => void
}

/**
 * Virtual time for tests: a wait of an hour takes no time, and a test can stand one millisecond
 * before an instant and then on it.
 *
 * The wall clock starts at `startMs` (milliseconds since the epoch, default 0), the monotonic clock
 * at 0, so that a mix-up of the two shows.
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
      // A real timer fires at once for NaN, which would hide the bug that computed it.
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

/** The timer that falls due first; of equals, the one armed first (a Set keeps that order). */
function nextDue(timers: ReadonlySet<Timer>): Timer | undefined {
  let first: Timer | undefined
  for (const timer of timers) {
    if (first === undefined || timer.dueMs < first.dueMs) first = timer
  }
  return first
}

/**
 * Lets everything run that waits for no timer and no I/O. One immediate comes after all microtasks
 * there are; the second is for code that itself goes through an immediate.
 */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve)
    })
  }
}
