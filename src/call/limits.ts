import type { Clock, Deadline } from '../time.ts'

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
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
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
   * Settles like the work, or rejects at once when a limit is reached, whatever the work does. One
   * at a time.
   */
  race<T>(work: PromiseLike<T>): Promise<T> {
    this.#raced = work
    return new Promise((resolve, reject) => {
      if (this.#ended === undefined) this.#cutRace = reject
      else reject(this.signal.reason)
      work.then(
        (value) => {
          this.#settled()
          resolve(value)
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
    this.#request.signal?.removeEventListener('abort', this.#onAbort)
  }

  /** The raced work has ended; before any limit, it is nothing that could go on. */
  #settled(): void {
    this.#cutRace = undefined
    if (this.#ended === undefined) this.#raced = undefined
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
