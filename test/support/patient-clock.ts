import type { Clock } from '../../src/time.ts'

// Of this process's own timers, whatever a test replaces.
const { setInterval } = globalThis
const realMs = performance.now.bind(performance)

// At least. A turn of the event loop that took longer counts for no more than MOST_MS.
const TICK_MS = 1
const MOST_MS = 2

interface Timer {
  readonly dueMs: number
  readonly callback: () => void
}

const timers = new Set<Timer>()
let tickedMs = 0
let tickedAtRealMs = realMs()

/**
 * Real time without what the machine has lost. Each turn of the event loop counts for two
 * milliseconds at most: a limit of 100 ms passes after 50 turns at least, in each of which whoever
 * had something to do could do it. Where the client and the server of a test both follow it, neither
 * can be late for the other because this process, or all of the machine, stood still meanwhile.
 *
 * Never ahead of real time. The wall clock is the real one.
 */
export const patientClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => tickedMs + sinceTickMs(),
  schedule(delayMs, callback) {
    const timer = { dueMs: patientClock.monotonicMs() + Math.max(delayMs, 0), callback }
    timers.add(timer)
    return () => {
      timers.delete(timer)
    }
  },
}

/** Resolves when this much of patient time has passed. */
export function passed(ms: number): Promise<void> {
  return new Promise((resolve) => {
    patientClock.schedule(ms, resolve)
  })
}

function sinceTickMs(): number {
  return Math.min(realMs() - tickedAtRealMs, MOST_MS)
}

function tick(): void {
  tickedMs += sinceTickMs()
  tickedAtRealMs = realMs()
  const due = [...timers].filter(({ dueMs }) => dueMs <= tickedMs)
  for (const timer of due.toSorted((one, other) => one.dueMs - other.dueMs)) {
    // One of the others may have cancelled it.
    if (timers.delete(timer)) timer.callback()
  }
}

setInterval(tick, TICK_MS).unref()
