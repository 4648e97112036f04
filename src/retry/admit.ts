import type { Wait } from '../errors/call-error.ts'
import { sleep } from '../time.ts'
import { DEFAULT_LIMITS } from './decide.ts'
import type { Line } from './health/line.ts'
import type { Held } from './health/line-contract.ts'
import type { NoLeave, Wish } from './health/waiting.ts'
import type { LoopRequest, LoopTarget } from './loop-contract.ts'
import { Patience } from './patience.ts'
import type { Leave } from './send.ts'
import { targetAt } from './target.ts'

/** The attempt that is to be let in. */
export interface Asking {
  /** Index of its target. */
  readonly index: number
  /** Requests that the call has sent. */
  readonly requests: number
  /** It repeats what may have been executed. */
  readonly paying: boolean
  /** What the attempt's own wait is for. */
  readonly own: 'backoff' | 'hint'
  /** When that wait ends, on the monotonic clock. */
  readonly notBeforeMs: number
  /** When the call's own hint ends, on the monotonic clock; 0: it has none. */
  readonly hintEndsMs: number
}

/**
 * How one call gets into the lines of its targets: its place among the other calls, its waits, and how
 * much longer it may wait. Used by `Run` only.
 */
export class Admission<T> {
  readonly #request: LoopRequest<T>
  readonly #patience: Patience
  #target: LoopTarget
  /** Its place among the calls that came to this target; 0: it has none yet. */
  #order = 0

  constructor(request: LoopRequest<T>) {
    this.#request = request
    this.#target = targetAt(request, 0)
    this.#patience = new Patience(request.policy, request.clock)
  }

  get target(): LoopTarget {
    return this.#target
  }

  get line(): Line {
    return this.#target.state.line
  }

  /** Waited in all, milliseconds. */
  get waitedMs(): number {
    return this.#patience.waitedMs
  }

  /** The waits since the last attempt. */
  takeWaits(): readonly Wait[] {
    return this.#patience.takeWaits()
  }

  /** The call goes on at another target. */
  moveTo(index: number): void {
    this.#target = targetAt(this.#request, index)
    this.#order = 0
  }

  /** Leave to send the attempt now, or what holds it. */
  enter(asking: Asking): Leave | Held {
    const { line } = this
    const wish = this.#wish(asking, 0)
    const ticket = line.enter(wish)
    // A call that does not wait takes no token of the retry budget.
    const paying = wish.paying && !wish.impatient
    return ticket === 0 ? line.held(wish) : { ticket, paying, tokens: wish.tokens }
  }

  /** What would hold the attempt after so long, milliseconds. */
  heldAfter(asking: Asking, delayMs: number): Held {
    return this.line.held(this.#wish(asking, delayMs))
  }

  /** Waits for its turn, and for `delayMs` at least: leave to send the attempt, or why there is none. */
  async wait(asking: Asking, delayMs: number): Promise<Leave | NoLeave> {
    const { signal, closing } = this.#request
    const { line } = this
    const fromMs = this.#nowMs()
    const wish = this.#wish(asking, delayMs)
    const outcome = await line.wait(wish, signal, closing)
    const { paying, tokens } = wish
    this.#patience.waited({ fromMs, delayMs, own: asking.own, line, paying })
    return typeof outcome === 'number' ? { ticket: outcome, paying, tokens } : outcome
  }

  /** Waits for `delayMs` alone: under `maxWaitMs: 0` the line lets the attempt in at once or not at all. */
  async pause(asking: Asking, delayMs: number): Promise<void> {
    const { clock, signal, closing } = this.#request
    const { line } = this
    const fromMs = this.#nowMs()
    const pause = () => closing?.sleep(clock, delayMs, signal) ?? sleep(clock, delayMs, signal)
    if (delayMs > 0) await pause().catch(() => {})
    this.#patience.waited({ fromMs, delayMs, own: asking.own, line })
  }

  /** How long the call may still wait for its next attempt, milliseconds. */
  leftMs(hintEndsMs: number): number {
    const untilDeadlineMs = Math.max(this.untilDeadlineMs(), 0)
    // Then its backoff counts only against the deadline.
    if (this.#request.policy.maxWaitMs === 0) return untilDeadlineMs
    return Math.min(untilDeadlineMs, this.patienceMs(hintEndsMs))
  }

  /** Until the last moment at which an attempt may start, milliseconds; negative: it is over. */
  untilDeadlineMs(): number {
    const { deadline, policy } = this.#request
    return deadline.remainingMs() - (policy.minAttemptMs ?? DEFAULT_LIMITS.minAttemptMs)
  }

  /** How long it may still wait, whatever its deadline, milliseconds. */
  patienceMs(hintEndsMs: number): number {
    const ownHintMs = hintEndsMs === 0 ? 0 : hintEndsMs - this.#nowMs()
    return this.#patience.leftMs(this.line, ownHintMs)
  }

  /** What the attempt asks of its line, where its own wait ends in `delayMs`. */
  #wish({ index, requests, paying, notBeforeMs, hintEndsMs }: Asking, delayMs: number): Wish {
    const { policy, tokens } = this.#request
    const { line } = this
    if (this.#order === 0) this.#order = line.arrive()
    const nowMs = this.#nowMs()
    return {
      order: this.#order,
      requests,
      notBeforeMs: Math.max(nowMs + delayMs, notBeforeMs),
      latestMs: nowMs + Math.min(this.patienceMs(hintEndsMs), this.untilDeadlineMs()),
      paying,
      nested: policy.nested === true,
      reentrant: policy.holdsPlaceIn?.(line) === true,
      impatient: policy.maxWaitMs === 0,
      bulk: policy.bulk === true,
      tokens: line.countsTokens ? (tokens?.estimate(index) ?? 0) : 0,
    }
  }

  #nowMs(): number {
    return this.#request.clock.monotonicMs()
  }
}
