/**
 * Time as the rest of steadycall sees it. No other file in `src/` calls `setTimeout`, `Date.now`
 * or `performance.now`, so that a test or the simulator can replace the clock.
 */
export interface Clock {
  /** Wall clock, milliseconds since the epoch: for reports and HTTP dates, never for intervals. */
  wallMs(): number
  /** Monotonic clock, milliseconds from an arbitrary start: for every interval and deadline. */
  monotonicMs(): number
  /** Calls back once, `delayMs` from now; the returned function cancels. */
  schedule(delayMs: number, callback: () => void): () => void
}

// Node fires a longer setTimeout at once (it stores the delay in a signed 32-bit integer).
const MAX_TIMER_MS = 2 ** 31 - 1

/** The real clock. Looks up the globals at each call, so that fake timers reach it. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, callback) {
    const endsAt = performance.now() + delayMs
    let timer: ReturnType<typeof setTimeout>
    const arm = (remainingMs: number) => {
      timer = setTimeout(
        () => {
          // Node fires up to a millisecond early, which would undercut a provider's hint.
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

// Held on to, so that a test's fake timers do not stop what nobody faked. Not every platform has the first.
const timer = globalThis.setTimeout
const nextTurn: (callback: () => void) => unknown =
  globalThis.setImmediate ?? ((callback) => timer(callback, 0))

/** Calls back in the event loop's next turn, after all that is due in this one. */
export function soon(callback: () => void): void {
  nextTurn(callback)
}

/** Resolves after `delayMs`, or rejects at once with the signal's reason when it aborts. */
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
      // signal is defined here: only it calls this listener
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** A point on the monotonic clock by which work must have ended. May move while callers join. */
export interface Deadline {
  /** Milliseconds left; negative once passed. */
  remainingMs(): number
}

/** A deadline `durationMs` from now, or an earlier one that already binds us. */
export function deadlineAfter(clock: Clock, durationMs: number, outer?: Deadline): Deadline {
  const atMs = clock.monotonicMs() + durationMs
  return {
    remainingMs() {
      const own = atMs - clock.monotonicMs()
      return outer === undefined ? own : Math.min(own, outer.remainingMs())
    },
  }
}
