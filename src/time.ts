/**
 * Time as seen by the rest of steadycall. No other file in `src/` calls `setTimeout`, `Date.now` or
 * `performance.now`, so that tests and the simulator can replace the clock.
 */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. For reports and HTTP dates, never for intervals. */
  wallMs(): number
  /** Monotonic clock, milliseconds from an arbitrary start. For every interval and deadline. */
  monotonicMs(): number
  /** Calls `callback` once after `delayMs` milliseconds. The returned function cancels it. */
  schedule(delayMs: number, callback: () => void): () => void
}

// Node stores the delay as a signed 32-bit integer and fires a longer setTimeout at once.
const MAX_TIMER_MS = 2 ** 31 - 1

/** The real clock. Looks up the globals on each call, so that a test's fake timers take effect. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, callback) {
    const endsAt = performance.now() + delayMs
    let timer: ReturnType<typeof setTimeout>
    const arm = (remainingMs: number) => {
      timer = setTimeout(
        () => {
          // Node may fire up to a millisecond early, which would be too early for a provider's hint.
          const leftMs = endsAt - performance.now()
          if (leftMs > 0) arm(leftMs)
          else callback()
        },
        Math.min(Math.max(remainingMs, 0), MAX_TIMER_MS),
      )
    }
    arm(delayMs)
    return () => clearTimeout(timer)
  },
}

// Captured at load time, so that a test's fake timers do not affect it. Some platforms have no setImmediate.
const timer = globalThis.setTimeout
const nextTurn: (callback: () => void) => unknown =
  globalThis.setImmediate ?? ((callback) => timer(callback, 0))

/** Calls `callback` in the next turn of the event loop, after everything due in this one. */
export function soon(callback: () => void): void {
  nextTurn(callback)
}

/** Resolves after `delayMs` milliseconds; rejects with the signal's reason as soon as it aborts. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const cancel = clock.schedule(delayMs, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    const onAbort = () => {
      cancel()
      // The listener is only called by the signal, so it is defined here.
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** The time by which work must have ended. May be extended when further callers join. */
export interface Deadline {
  /** Milliseconds left; negative after it has passed. */
  remainingMs(): number
}

/** A deadline `durationMs` from now, limited by an outer one. */
export function deadlineAfter(clock: Clock, durationMs: number, outer?: Deadline): Deadline {
  const atMs = clock.monotonicMs() + durationMs
  return {
    remainingMs() {
      const own = atMs - clock.monotonicMs()
      return outer === undefined ? own : Math.min(own, outer.remainingMs())
    },
  }
}
