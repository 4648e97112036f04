import type { Wait } from '../errors/call-error.ts'
import type { Clock } from '../time.ts'
import { type Line, TIMER_SLACK_MS } from './health/line.ts'
import type { HeldBy } from './health/waiting.ts'
import type { LoopPolicy } from './loop-contract.ts'

/** A finished wait. */
export interface Waited {
  readonly fromMs: number
  /** The call's own part of the wait: its backoff, or a hint it was given. */
  readonly delayMs: number
  readonly own: 'backoff' | 'hint'
  readonly line: Line
  /** Whether it needed a token of the retry budget. */
  readonly paying?: boolean
}

/** Tracks how long a call has waited, for what reasons, and how much longer it may wait. */
export class Patience {
  readonly #maxWaitMs: number
  /** How much longer it may wait for hints. */
  readonly #hintsMs: number
  readonly #clock: Clock
  #waitedMs = 0
  #forHintsMs = 0
  #waits: Wait[] = []

  constructor({ maxWaitMs, maxHintMs = maxWaitMs }: LoopPolicy, clock: Clock) {
    this.#maxWaitMs = maxWaitMs
    // A call that does not wait does not wait for hints either. Infinity − Infinity would be NaN.
    this.#hintsMs = maxWaitMs > 0 && maxHintMs > maxWaitMs ? maxHintMs - maxWaitMs : 0
    this.#clock = clock
  }

  /** Total time waited, in milliseconds. */
  get waitedMs(): number {
    return this.#waitedMs
  }

  /** How much longer it may wait, in milliseconds; extended by the hints of the target and of the call. */
  leftMs(line: Line, ownHintMs = 0): number {
    const hintsMs = this.#forHintsMs + Math.max(line.toldForMs, ownHintMs, 0)
    return Math.max(this.#maxWaitMs - this.#waitedMs + Math.min(hintsMs, this.#hintsMs), 0)
  }

  waited({ fromMs, delayMs, own, line, paying = false }: Waited): void {
    const tookMs = this.#clock.monotonicMs() - fromMs
    const ownMs = Math.min(delayMs, tookMs)
    const { hintMs, downMs } = line.reasonsSince(fromMs + ownMs)
    const restMs = tookMs - ownMs - hintMs - downMs
    // A late timer's delay is attributed to what the timer was set for.
    const slackMs = ownMs > 0 && restMs < TIMER_SLACK_MS ? restMs : 0
    this.#add(own, ownMs + slackMs)
    this.#add('hint', hintMs)
    this.#add('down', downMs)
    this.#add(paying ? 'budget' : 'limit', restMs - slackMs)
    // With `maxWaitMs: 0` the backoff counts only against the deadline.
    if (this.#maxWaitMs > 0) this.#waitedMs += tookMs
  }

  /** The waits since the last attempt. */
  takeWaits(): readonly Wait[] {
    const waits = this.#waits
    if (waits.length > 0) this.#waits = []
    return waits
  }

  #add(what: HeldBy, ms: number): void {
    if (ms <= 0) return
    if (what === 'hint') this.#forHintsMs += ms
    const known = this.#waits.findIndex((wait) => wait.for === what)
    const before = this.#waits[known]
    if (before === undefined) this.#waits.push({ for: what, ms })
    else this.#waits[known] = { for: what, ms: before.ms + ms }
  }
}
