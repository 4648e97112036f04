// Time, deadlines and the signals that end a wait. No other file in `src/` calls `setTimeout`, `Date.now` or
// `performance.now`, so that tests and the simulator can replace the clock.

/** Time as seen by the rest of steadycall. */
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
    const alarm = new Alarm(performance.now() + delayMs, callback)
    alarm.arm(delayMs)
    return () => clearTimeout(alarm.timer)
  },
}

/** A timer of the real clock. One object and no closures, because every waiting call has one. */
class Alarm {
  readonly #endsAtMs: number
  readonly #callback: () => void
  timer: ReturnType<typeof setTimeout> | undefined

  constructor(endsAtMs: number, callback: () => void) {
    this.#endsAtMs = endsAtMs
    this.#callback = callback
  }

  arm(remainingMs: number): void {
    this.timer = setTimeout(ring, Math.min(Math.max(remainingMs, 0), MAX_TIMER_MS), this)
  }

  ring(): void {
    // Node may fire up to a millisecond early, which would be too early for a provider's hint.
    const leftMs = this.#endsAtMs - performance.now()
    if (leftMs > 0) this.arm(leftMs)
    else this.#callback()
  }
}

function ring(alarm: Alarm): void {
  alarm.ring()
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
  return new FixedDeadline(clock, clock.monotonicMs() + durationMs, outer)
}

class FixedDeadline implements Deadline {
  readonly #clock: Clock
  readonly #atMs: number
  readonly #outer: Deadline | undefined

  constructor(clock: Clock, atMs: number, outer: Deadline | undefined) {
    this.#clock = clock
    this.#atMs = atMs
    this.#outer = outer
  }

  remainingMs(): number {
    const ownMs = this.#atMs - this.#clock.monotonicMs()
    return this.#outer === undefined ? ownMs : Math.min(ownMs, this.#outer.remainingMs())
  }
}

// Signals are recognised by their shape. Those of a polyfill or another realm are valid, but `AbortSignal.any`
// and `fetch` reject them, so they are converted on entry; the rest of steadycall sees only native ones.

/** Whether the value has `aborted` and `addEventListener`. */
export function isSignal(value: unknown): value is AbortSignal {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'aborted') === 'boolean' &&
    typeof Reflect.get(value, 'addEventListener') === 'function'
  )
}

/** The signal itself if it is native, otherwise a native one that follows it (always the same one). */
export function nativeSignal(signal: AbortSignal): AbortSignal {
  if (isPlatforms(signal)) return signal
  const known = followers.get(signal)
  const follower = known ?? new AbortController()
  if (known === undefined) followers.set(signal, follower)
  // Without a reason (some polyfills have none) `abort` uses its default.
  const follow = () => follower.abort(reasonOf(signal))
  if (signal.aborted) follow()
  // One listener for all calls, because a signal may live as long as the process.
  else if (known === undefined) signal.addEventListener('abort', follow)
  return follower.signal
}

/** A polyfill's getter may throw. */
function reasonOf(signal: AbortSignal): unknown {
  try {
    return signal.reason
  } catch {
    return undefined
  }
}

const followers = new WeakMap<AbortSignal, AbortController>()

/** The prototype is not enough: a polyfill's signal may inherit from the native one without being native. */
function isPlatforms(signal: AbortSignal): boolean {
  if (!(signal instanceof AbortSignal)) return false
  try {
    Reflect.get(AbortSignal.prototype, 'aborted', signal)
    return true
  } catch {
    return false
  }
}

/**
 * The end of something, for one listener: told when it comes, or at once to who listens only then.
 * An abort can end a stream before any code has begun to wait for that.
 */
export class EndSignal<T> {
  #end: { readonly how: T } | undefined
  #listener: ((how: T) => void) | undefined

  /** Only the first time counts. */
  tell(how: T): void {
    if (this.#end !== undefined) return
    this.#end = { how }
    this.#listener?.(how)
  }

  whenEnded(listener: (how: T) => void): void {
    this.#listener = listener
    if (this.#end !== undefined) listener(this.#end.how)
  }
}

/** The cause of the error of a call that was ended by `close()`. */
export class ClientClosed extends Error {
  override readonly name = 'ClientClosed'

  constructor() {
    super('The client was closed by llm.close()')
  }
}

/**
 * The closing of one client: ends all of its waiting calls at once. Not an AbortSignal, because removing one
 * of many listeners from a signal is slow, and a hundred thousand calls may wait.
 */
export class Closing {
  #isClosed = false
  readonly #waiting = new Set<() => void>()

  get isClosed(): boolean {
    return this.#isClosed
  }

  close(): void {
    this.#isClosed = true
    for (const end of this.#waiting) end()
  }

  /** Registers a wait; `end` is called when the client is closed. */
  begin(end: () => void): void {
    this.#waiting.add(end)
  }

  /** Unregisters a wait that has ended. */
  over(end: () => void): void {
    this.#waiting.delete(end)
  }

  /** Resolves after `delayMs` milliseconds, or at once when the signal aborts or the client is closed. */
  sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        cancel()
        signal?.removeEventListener('abort', end)
        this.over(end)
        resolve()
      }
      const cancel = clock.schedule(delayMs, end)
      this.begin(end)
      signal?.addEventListener('abort', end, { once: true })
      if (this.#isClosed || signal?.aborted) end()
    })
  }
}

/**
 * The callers that an answer is read for: the owner, or all that joined. The time of its attempt does not
 * count, since the answer has come.
 */
export interface Waiting {
  readonly clock: Clock
  readonly signal: AbortSignal | undefined
  readonly deadline: Deadline
}

/** Why an attempt was cut short by us, not by the provider. */
export type Ended = 'timeout' | 'deadline' | 'aborted'

export interface BoundsRequest extends Waiting {
  /** For this attempt; its deadline is the call's, and may move later while callers join. */
  readonly timeoutMs: number
}

/**
 * One attempt's limits: its timeout, the call's deadline and the caller's signal, as one signal. They
 * begin when it is made; always `dispose()` of it.
 */
export class Bounds {
  readonly #request: BoundsRequest
  readonly #controller = new AbortController()
  readonly #timeoutAtMs: number
  #ended: Ended | undefined
  #cancelTimer: (() => void) | undefined
  // Not one promise that all races have in common: it would keep what each of them came to until the end.
  #cutRace: ((reason: unknown) => void) | undefined
  #raced: PromiseLike<unknown> | undefined

  constructor(request: BoundsRequest) {
    const { clock, timeoutMs, signal } = request
    this.#request = request
    this.#timeoutAtMs = clock.monotonicMs() + timeoutMs
    this.#arm()
    if (signal?.aborted) this.handleEvent()
    else signal?.addEventListener('abort', this, { once: true })
  }

  /** Aborts when the first limit is reached. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Which limit it was; undefined: none yet. */
  get ended(): Ended | undefined {
    return this.#ended
  }

  /** The work that was raced when a limit was reached: it may go on. */
  get cutOff(): PromiseLike<unknown> | undefined {
    return this.#ended === undefined ? undefined : this.#raced
  }

  /** The callers that the attempt is made for. */
  get waiting(): Waiting {
    return this.#request
  }

  /**
   * Settles like the work, with what `read` makes of its value, or rejects at once when a limit is reached,
   * whatever the work does. One at a time.
   */
  race<T, R = T>(work: PromiseLike<T>, read?: (value: T) => R): Promise<R> {
    this.#raced = work
    return new Promise((resolve, reject) => {
      if (this.#ended === undefined) this.#cutRace = reject
      else reject(this.signal.reason)
      work.then(
        (value) => {
          this.#settled()
          // It has been rejected already; what came late is read by nobody.
          if (this.#ended !== undefined) return
          try {
            // Without `read`, R is T.
            resolve(read === undefined ? (value as unknown as R) : read(value))
          } catch (error) {
            reject(error)
          }
        },
        (error: unknown) => {
          this.#settled()
          reject(error)
        },
      )
    })
  }

  /** What ends the other signal ends ours, though no limit of ours was reached. */
  follow(other: AbortSignal): void {
    const onAbort = () => this.#controller.abort(other.reason)
    if (other.aborted) onAbort()
    else other.addEventListener('abort', onAbort, { once: true })
  }

  /** Takes the clock off: the rest of a stream has limits of its own. */
  disarm(): void {
    this.#cancelTimer?.()
  }

  /** Notices a limit that has passed, where no timer had its turn. */
  check(): void {
    const { clock, deadline } = this.#request
    if (this.#ended !== undefined) return
    if (clock.monotonicMs() < this.#timeoutAtMs && deadline.remainingMs() > 0) return
    this.#cancelTimer?.()
    this.#onTime()
  }

  /** Frees the timer and the listener. */
  dispose(): void {
    this.#cancelTimer?.()
    this.#request.signal?.removeEventListener('abort', this)
  }

  /** The caller's signal has aborted: this object is its listener. */
  handleEvent(): void {
    this.#end('aborted', this.#request.signal?.reason)
  }

  /** The raced work has ended; before any limit, it is nothing that could go on. */
  #settled(): void {
    this.#cutRace = undefined
    if (this.#ended === undefined) this.#raced = undefined
  }

  #arm(): void {
    const { clock, deadline } = this.#request
    const ownMs = this.#timeoutAtMs - clock.monotonicMs()
    const leftMs = Math.min(ownMs, deadline.remainingMs())
    this.#cancelTimer = clock.schedule(leftMs, () => this.#onTime())
  }

  #onTime(): void {
    const { clock, deadline, timeoutMs } = this.#request
    if (clock.monotonicMs() >= this.#timeoutAtMs) {
      this.#end('timeout', timeoutReason(`no complete answer within ${timeoutMs} ms`))
    } else if (deadline.remainingMs() <= 0) {
      this.#end('deadline', timeoutReason('deadline exceeded'))
    } else {
      // A caller with a later deadline has joined since.
      this.#arm()
    }
  }

  #end(why: Ended, reason: unknown): void {
    if (this.#ended !== undefined) return
    this.#ended = why
    this.#controller.abort(reason)
    this.#cutRace?.(reason)
    this.#cutRace = undefined
  }
}

function timeoutReason(message: string): DOMException {
  return new DOMException(message, 'TimeoutError')
}
