import type { Clock, Deadline } from '../time.ts'

/** Why an attempt was cut short by us, not by the provider. */
export type Ended = 'timeout' | 'deadline' | 'aborted'

export interface BoundsRequest {
  readonly clock: Clock
  /** For this attempt. */
  readonly timeoutMs: number
  /** Of the call; may move later while callers join. */
  readonly deadline: Deadline
  readonly signal: AbortSignal | undefined
}

/** One attempt's limits: its timeout, the call's deadline and the caller's signal, as one signal. */
export interface Bounds {
  /** Aborts when the first limit is reached. */
  readonly signal: AbortSignal
  /** Which one it was. */
  readonly ended: Ended | undefined
  /**
   * Settles like the work, or rejects at once when a limit is reached, whatever the work does. One
   * at a time.
   */
  race<T>(work: PromiseLike<T>): Promise<T>
  /** What ends the other signal ends ours, though no limit of ours was reached. */
  follow(other: AbortSignal): void
  /** Notices a limit that has passed, where no timer had its turn. */
  check(): void
  /** Takes the clock off: the rest of a stream has limits of its own. */
  disarm(): void
  /** Frees the timer and the listener. */
  dispose(): void
}

/** Starts the limits of one attempt. Always `dispose()` of it. */
export function boundAttempt(request: BoundsRequest): Bounds {
  return new AttemptBounds(request)
}

class AttemptBounds implements Bounds {
  readonly #request: BoundsRequest
  readonly #controller = new AbortController()
  readonly #timeoutAtMs: number
  #ended: Ended | undefined
  #cancelTimer: (() => void) | undefined
  // Not one promise that all races have in common: it would keep what each of them came to until the end.
  #cutRace: ((reason: unknown) => void) | undefined

  constructor(request: BoundsRequest) {
    const { clock, timeoutMs, signal } = request
    this.#request = request
    this.#timeoutAtMs = clock.monotonicMs() + timeoutMs
    this.#arm()
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get ended(): Ended | undefined {
    return this.#ended
  }

  race<T>(work: PromiseLike<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#ended === undefined) this.#cutRace = reject
      else reject(this.signal.reason)
      work.then(
        (value) => {
          this.#cutRace = undefined
          resolve(value)
        },
        (error: unknown) => {
          this.#cutRace = undefined
          reject(error)
        },
      )
    })
  }

  follow(other: AbortSignal): void {
    const onAbort = () => this.#controller.abort(other.reason)
    if (other.aborted) onAbort()
    else other.addEventListener('abort', onAbort, { once: true })
  }

  disarm(): void {
    this.#cancelTimer?.()
  }

  check(): void {
    const { clock, deadline } = this.#request
    if (this.#ended !== undefined) return
    if (clock.monotonicMs() < this.#timeoutAtMs && deadline.remainingMs() > 0) return
    this.#cancelTimer?.()
    this.#onTime()
  }

  dispose(): void {
    this.#cancelTimer?.()
    this.#request.signal?.removeEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = (): void => this.#end('aborted', this.#request.signal?.reason)

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
