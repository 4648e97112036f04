import { setImmediate } from 'node:timers'
import type { Clock } from '../../src/time.ts'

interface Event {
  readonly atMs: number
  /** Of two at the same instant the earlier made goes first. */
  readonly order: number
  /** Undefined once cancelled or fired. */
  callback: (() => void) | undefined
}

/** Below this many events a sweep gains nothing. */
const WORTH_SWEEPING = 100

/**
 * Discrete events on a virtual clock: a heap, and nothing that waits for real. Modelled code lives
 * in callbacks; the shipped code is made of promises, which run until they wait for the next event.
 */
export class VirtualTime {
  #heap: Event[] = []
  /** How many events in the heap are cancelled: taking each out at once would cost more. */
  #cancelled = 0
  #nowMs = 0
  #made = 0
  #awake = false
  #suspended = { fromMs: Infinity, untilMs: Infinity }
  readonly #turns: number

  /** `turns`: of the event loop, before the next event, for promises that need more than one. */
  constructor(turns = 1) {
    this.#turns = turns
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** Calls back `delayMs` from now; the returned function cancels. */
  after(delayMs: number, callback: () => void): () => void {
    const event: Event = { atMs: this.#nowMs + Math.max(delayMs, 0), order: this.#made++, callback }
    this.#push(event)
    return () => {
      if (event.callback === undefined) return
      event.callback = undefined
      this.#cancelled += 1
      const { length } = this.#heap
      if (length > WORTH_SWEEPING && 2 * this.#cancelled > length) this.#sweep()
    }
  }

  /** Call it whenever a promise has been settled: its continuations run before the next event. */
  wake(): void {
    this.#awake = true
  }

  /** The clients' processes hear of nothing from `fromMs` until `untilMs`; providers go on. */
  suspend({ fromMs, untilMs }: { readonly fromMs: number; readonly untilMs: number }): void {
    this.#suspended = { fromMs, untilMs }
  }

  /** Calls back as a client's process would be: at once, or when it is no longer suspended. */
  heard(callback: () => void): void {
    const { fromMs, untilMs } = this.#suspended
    if (this.#nowMs < fromMs || this.#nowMs >= untilMs) callback()
    else this.after(untilMs - this.#nowMs, callback)
  }

  /** The clock for a `Runtime`. */
  readonly clock: Clock = {
    wallMs: () => EPOCH_MS + this.#nowMs,
    monotonicMs: () => this.#nowMs,
    schedule: (delayMs, callback) => {
      let isCancelled = false
      const cancel = this.after(delayMs, () =>
        this.heard(() => {
          if (isCancelled) return
          this.#awake = true
          callback()
        }),
      )
      return () => {
        isCancelled = true
        cancel()
      }
    },
  }

  /** Plays every event there is, and those they make. */
  async run(): Promise<void> {
    for (;;) {
      if (this.#awake) {
        this.#awake = false
        for (let turn = 0; turn < this.#turns; turn += 1) await promisesRun()
        continue
      }
      const event = this.#pop()
      if (event === undefined) return
      const { callback } = event
      if (callback === undefined) {
        this.#cancelled -= 1
        continue
      }
      event.callback = undefined
      this.#nowMs = event.atMs
      callback()
    }
  }

  /** Takes out what is cancelled: most timeouts are, long before they are due. */
  #sweep(): void {
    const left = this.#heap.filter(({ callback }) => callback !== undefined)
    // An ordered array is a heap.
    this.#heap = left.sort((a, b) => a.atMs - b.atMs || a.order - b.order)
    this.#cancelled = 0
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.length
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = heap[up]
      if (parent === undefined || isBefore(parent, event)) break
      heap[at] = parent
      at = up
    }
    heap[at] = event
  }

  #pop(): Event | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      const child = 2 * at + 1
      const left = heap[child]
      if (left === undefined) break
      const right = heap[child + 1]
      const next = right !== undefined && isBefore(right, left) ? right : left
      if (isBefore(last, next)) break
      heap[at] = next
      at = next === left ? child : child + 1
    }
    heap[at] = last
    return first
  }
}

// Any instant will do, as long as it is the same in each run.
const EPOCH_MS = Date.UTC(2026, 0, 1)

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

/** An immediate comes after all microtasks, those that they make included. */
function promisesRun(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
