import type { Failure, StopReason } from '../errors/call-error.ts'
import { FAILURE_KINDS } from '../errors/failure-kinds.ts'
import { sleep } from '../time.ts'
import { drawDelayMs } from './backoff.ts'
import {
  DEFAULT_LIMITS,
  type DecideInput,
  decide,
  type FailedAttempt,
  type Verdict,
} from './decide.ts'
import { fallbacksAfter, targetAt } from './fallbacks.ts'
import type { Held } from './health/line-contract.ts'
import type { NoLeave, Wish } from './health/waiting.ts'
import { sendWithHedge } from './hedged.ts'
import type {
  AttemptResult,
  AttemptStep,
  LoopOutcome,
  LoopRequest,
  LoopTarget,
} from './loop-contract.ts'
import { Patience } from './patience.ts'
import { refusesReask, withRefusal } from './refused-reask.ts'
import { type Leave, sendAttempt } from './send.ts'
import {
  abortedFailure,
  closedFailure,
  heldFailure,
  ownFailure,
  stopFailure,
} from './stop-failure.ts'

/**
 * One call on its way through its attempts: what has been sent and waited, and what comes next. It
 * asks `decide` and obeys; it has no opinion of its own.
 */
export class Run<T> {
  readonly #request: LoopRequest<T>
  readonly #patience: Patience
  /** Requests sent. */
  #requests = 0
  /** Those among them that were refused unexecuted: no model has worked on them. */
  #refused = 0
  #target: LoopTarget
  /** Its place among the calls that came to this target. */
  #order = 0
  #next: NextAttempt = FIRST
  /** `#next` has not been sent yet. */
  #pending = true
  #leave: Leave | undefined
  #last: FailedAttempt | undefined
  /** What the latest wait in a line came to, where it brought no leave. */
  #inVain: FailedAttempt | undefined
  /** When the last attempt took longer than it may, how long it took, milliseconds. */
  #slowMs = 0
  /** Its own hint ends then, on the monotonic clock. */
  #hintEndsMs = 0
  /** The own wait of `#next` ends then: no other wait may cut it short. */
  #notBeforeMs = 0
  #reasks = 0
  /** What the current target is, or was last, asked again for. */
  #badAnswer: Failure | undefined
  #retriesHere = 0
  #previousDelayMs = 0
  #retriedOnce = false
  #outcome: Stopped | undefined

  constructor(request: LoopRequest<T>) {
    this.#request = request
    this.#target = targetAt(request, 0)
    this.#patience = new Patience(request.policy, request.clock)
  }

  get attempts(): number {
    return this.#requests
  }

  stopped(): Stopped {
    if (this.#outcome === undefined) throw new Error('The retry loop ended without an outcome')
    return this.#outcome
  }

  /** Sends the attempt that `mayStart` has allowed. */
  async attempt(): Promise<AttemptResult<T>> {
    this.#requests += 1
    this.#pending = false
    const sentAtMs = this.#nowMs()
    const result = await this.#send()
    if (result.ok) {
      this.#tell({ verdict: 'accept' })
      return result
    }
    if (result.withheld === true) this.#requests -= 1
    else if (result.failure.executed === 'no') this.#refused += 1
    this.#last = result
    const nowMs = this.#nowMs()
    this.#slowMs = result.failure.kind === 'timeout' ? nowMs - sentAtMs : 0
    const hintMs = Math.max(result.failure.retryAfterMs ?? 0, result.otherHintMs ?? 0)
    this.#hintEndsMs = hintMs > 0 ? nowMs + hintMs : 0
    return result
  }

  /**
   * Judges what failed, obeys the verdict, and judges again whatever then holds the next attempt,
   * until an attempt may start (true) or the call is over (false). Without a failure it starts with
   * what might hold the first attempt.
   */
  mayStart(failed: FailedAttempt | undefined): boolean | Promise<boolean> {
    const refused = failed ?? this.#spentHere() ?? this.#admit()
    return refused === undefined || this.#overcome(refused)
  }

  /** Where an equal call has spent everything, its failure is this one's. */
  #spentHere(): FailedAttempt | undefined {
    const failure = this.#request.spentAt?.(this.#next.index)
    return failure && { ok: false, failure: { ...failure, executed: 'no' } }
  }

  async #overcome(first: FailedAttempt): Promise<boolean> {
    let refused: FailedAttempt | undefined = first
    while (refused !== undefined) {
      const verdict = this.#named(this.#decided(refused), refused)
      this.#tell(verdict, refused.failure)
      if (!(await this.#obey(verdict, refused))) return false
      refused = this.#leave === undefined ? (this.#inVain ?? this.#admit()) : undefined
      this.#inVain = undefined
    }
    return true
  }

  /** Nothing follows for a client that is closed; what an attempt in flight met is told all the same. */
  #decided(refused: FailedAttempt): Verdict {
    const verdict = decide(this.#inputFor(refused))
    const isOver = verdict.verdict === 'stop' && refused.held === undefined
    const isClosed = this.#request.closing?.isClosed === true
    return isClosed && !isOver ? { verdict: 'stop', reason: 'aborted' } : verdict
  }

  /** A re-ask's final refusal is of what it added: the bad answer before it is why the call fails. */
  #named(verdict: Verdict, { failure }: FailedAttempt): Verdict {
    if (verdict.verdict !== 'stop' || verdict.reason === 'aborted') return verdict
    const isRefused = this.#badAnswer !== undefined && refusesReask(failure)
    return isRefused ? { verdict: 'stop', reason: 'reask_refused' } : verdict
  }

  #send(): Promise<AttemptResult<T>> {
    const { cause, index, plannedMs, delaySource } = this.#next
    const request = this.#request
    const target = this.#target
    const leave = this.#leave
    if (leave === undefined) throw new Error('An attempt needs leave of its line')
    this.#leave = undefined
    const waits = this.#patience.takeWaits()
    const delayMs = waits.length === 0 ? 0 : this.#nowMs() - plannedMs
    const step: AttemptStep = {
      number: this.#requests,
      cause,
      target: index,
      delayMs,
      ...(waits.length > 0 && { waits }),
      ...(delaySource !== undefined && { delaySource }),
    }
    const { hedging } = target.state
    if (hedging === undefined || cause !== 'initial') {
      return sendAttempt(request, target, step, leave)
    }
    const takeAttempt = () => {
      const { maxAttempts, maxRequests } = request.policy
      if (this.#requests >= Math.min(maxAttempts, maxRequests)) return undefined
      this.#requests += 1
      return this.#requests
    }
    const returnAttempt = () => {
      this.#requests -= 1
    }
    return sendWithHedge({ request, target, step, leave, takeAttempt, returnAttempt }, hedging)
  }

  /** Undefined: the next attempt has leave. Else what holds or refuses it. */
  #admit(): FailedAttempt | undefined {
    const { signal } = this.#request
    if (signal?.aborted) return { ok: false, failure: this.#abortedAfter(this.#last?.failure) }
    if (this.#untilDeadlineMs() < 0) {
      return this.#refusal(ownFailure('deadline', 'No time for an attempt', this.#last?.failure))
    }
    const wish = this.#wish(0)
    const { line } = this.#target.state
    const ticket = line.enter(wish)
    if (ticket === 0) return this.#heldBack(line.held(wish))
    // A call that does not wait takes no token of the retry budget.
    this.#leave = { ticket, paying: wish.paying && !wish.impatient, tokens: wish.tokens }
    return undefined
  }

  #heldBack(held: Held): FailedAttempt {
    return { ...this.#refusal(this.#heldFailure(held)), held }
  }

  #heldFailure(held: Held | NoLeave): Failure {
    const { name, state } = this.#target
    return heldFailure(held, state.line, name, this.#last?.failure)
  }

  /** Where a retry or re-ask is held, the failure before it is judged anew. */
  #refusal(failure: Failure): FailedAttempt {
    const { cause } = this.#next
    if (this.#last !== undefined && (cause === 'retry' || cause === 'reask')) {
      const { failure: last } = this.#last
      const { retryAfterMs } = failure
      return { ok: false, failure: retryAfterMs === undefined ? last : { ...last, retryAfterMs } }
    }
    return { ok: false, failure }
  }

  /** What the next attempt asks of its line, when its own wait ends in `delayMs`. */
  #wish(delayMs: number, paying = this.#next.paying): Wish {
    const { policy, tokens } = this.#request
    const { line } = this.#target.state
    if (this.#order === 0) this.#order = line.arrive()
    const nowMs = this.#nowMs()
    return {
      order: this.#order,
      requests: this.#requests,
      notBeforeMs: Math.max(nowMs + delayMs, this.#notBeforeMs),
      latestMs: nowMs + Math.min(this.#patienceMs(), this.#untilDeadlineMs()),
      paying,
      nested: policy.nested === true,
      reentrant: policy.holdsPlaceIn?.(line) === true,
      impatient: policy.maxWaitMs === 0,
      bulk: policy.bulk === true,
      tokens: line.countsTokens ? (tokens?.estimate(this.#next.index) ?? 0) : 0,
    }
  }

  #inputFor(result: FailedAttempt): DecideInput {
    const { policy, random, deadline } = this.#request
    const { line } = this.#target.state
    const { failure } = result
    return {
      result,
      policy,
      attempts: this.#requests - this.#refused,
      requests: this.#requests,
      reasks: this.#reasks,
      aborted: this.#aborted(),
      remainingMs: deadline.remainingMs(),
      patienceMs: this.#patienceMs(),
      waits: policy.maxWaitMs > 0,
      hintMs: this.#pending ? 0 : Math.max(this.#hintEndsMs - this.#nowMs(), 0),
      retriedOnce: this.#retriedOnce && !this.#pending,
      heldAfter: (delayMs) => line.held(this.#wish(delayMs, isRepeated(failure))),
      backoffMs: () =>
        drawDelayMs(policy.backoff, {
          retry: this.#retriesHere + 1,
          kind: failure.kind,
          previousDelayMs: this.#previousDelayMs,
          random,
          isDown: line.isDown,
          // It leaves time for two more waits like it.
          slowMs: Math.min(this.#slowMs, this.#leftMs() / 3),
          leftMs: this.#leftMs(),
          waitedMs: this.#patience.waitedMs,
          isLast: this.#isLast(failure),
        }),
      fallbacks: fallbacksAfter(this.#next.index, this.#request),
    }
  }

  async #obey(verdict: Verdict, judged: FailedAttempt): Promise<boolean> {
    switch (verdict.verdict) {
      case 'accept':
        return false
      case 'stop':
        this.#stop(verdict.reason, judged)
        return false
      case 'reask':
        this.#reasks += 1
        if (!refusesReask(judged.failure)) this.#badAnswer = judged.failure
        this.#plan({ ...FIRST, cause: 'reask', index: this.#next.index })
        return true
      case 'fallback':
        this.#fallBack(verdict.target)
        return true
      case 'retry':
        this.#planRetry(verdict, judged.failure)
        this.#tellOfLine(verdict.delayMs, judged.failure)
        await this.#standInLine(verdict.delayMs)
        return true
      case 'wait':
        await this.#standInLine(0)
        return true
    }
  }

  #plan(next: Omit<NextAttempt, 'plannedMs'>): void {
    this.#next = { ...next, plannedMs: this.#nowMs() }
    this.#notBeforeMs = 0
    this.#pending = true
  }

  #planRetry({ delayMs, delaySource }: Retry, failure: Failure): void {
    const { index } = this.#next
    this.#plan({ cause: 'retry', index, delaySource, paying: isRepeated(failure) })
    this.#notBeforeMs = this.#nowMs() + delayMs
    this.#retriesHere += 1
    this.#previousDelayMs = delayMs
    this.#retriedOnce ||= FAILURE_KINDS[failure.kind].retry === 'once'
  }

  #fallBack(index: number): void {
    this.#target = targetAt(this.#request, index)
    this.#order = 0
    this.#hintEndsMs = 0
    this.#badAnswer = undefined
    this.#retriesHere = 0
    this.#previousDelayMs = 0
    this.#plan({ ...FIRST, cause: 'fallback', index })
  }

  /** Where more than its own wait holds the retry, that is told too. */
  #tellOfLine(delayMs: number, failure: Failure): void {
    const { policy, onVerdict } = this.#request
    if (onVerdict === undefined || policy.maxWaitMs === 0) return
    const held = this.#target.state.line.held(this.#wish(delayMs))
    const own = this.#next.delaySource
    if (held.by !== 'backoff' && held.by !== own) this.#tell({ verdict: 'wait', held }, failure)
  }

  /** Waits for its turn: then it has leave, or what it has waited for in vain is judged. */
  async #standInLine(delayMs: number): Promise<void> {
    const { clock, signal, policy, closing } = this.#request
    const { line } = this.#target.state
    const fromMs = this.#nowMs()
    const own = this.#next.delaySource === 'hint' ? 'hint' : 'backoff'
    if (policy.maxWaitMs === 0) {
      // Its own wait is its own affair; then the line takes it at once, or not at all.
      const pause = () => closing?.sleep(clock, delayMs, signal) ?? sleep(clock, delayMs, signal)
      if (delayMs > 0) await pause().catch(() => {})
      if (closing?.isClosed)
        this.#inVain = { ok: false, failure: this.#abortedAfter(this.#last?.failure) }
      this.#notBeforeMs = 0
      this.#patience.waited({ fromMs, delayMs, own, line })
      return
    }
    const wish = this.#wish(delayMs)
    const outcome = await line.wait(wish, signal, closing)
    this.#patience.waited({ fromMs, delayMs, own, line, paying: wish.paying })
    if (typeof outcome === 'number') {
      this.#leave = { ticket: outcome, paying: wish.paying, tokens: wish.tokens }
      return
    }
    this.#inVain = { ...this.#refusal(this.#heldFailure(outcome)), noLeave: outcome }
  }

  #stop(reason: StopReason, { failure, reask, noLeave, held }: FailedAttempt): void {
    const { waitedMs } = this.#patience
    if (reason === 'reask_refused' && this.#badAnswer !== undefined) {
      const refused = { answer: this.#badAnswer, refusal: failure }
      this.#outcome = {
        ok: false,
        failure: withRefusal(refused),
        reason,
        deterministic: false,
        attempts: this.#requests,
        waitedMs,
        refused,
      }
      return
    }
    const heldBy = (noLeave ?? held)?.by
    const waits = this.#patience.takeWaits()
    const hintMs = Math.max(this.#hintEndsMs - this.#nowMs(), this.#target.state.line.toldForMs)
    const isLate = reason === 'aborted' && failure.kind !== 'aborted'
    this.#outcome = {
      ok: false,
      failure: isLate ? this.#abortedAfter(failure) : stopFailure(reason, failure, { hintMs }),
      reason,
      deterministic: reask === 'repeated',
      attempts: this.#requests,
      waitedMs,
      ...(waits.length > 0 && { waits }),
      ...(heldBy !== undefined && { heldBy }),
    }
  }

  #abortedAfter(last: Failure | undefined): Failure {
    const { signal, closing } = this.#request
    const isClosed = closing?.isClosed === true && signal?.aborted !== true
    return isClosed ? closedFailure(last) : abortedFailure(last, signal?.reason)
  }

  #tell(verdict: Verdict, failure?: Failure): void {
    const { onVerdict } = this.#request
    if (onVerdict === undefined) return
    const event = { verdict, attempts: this.#requests, target: this.#next.index }
    onVerdict(failure === undefined ? event : { ...event, failure })
  }

  /** How long the call may still wait for its next attempt, milliseconds. */
  #leftMs(): number {
    const untilDeadlineMs = Math.max(this.#untilDeadlineMs(), 0)
    // Then its backoff counts only against the deadline.
    if (this.#request.policy.maxWaitMs === 0) return untilDeadlineMs
    return Math.min(untilDeadlineMs, this.#patienceMs())
  }

  /** Until the last moment at which an attempt may start; negative: it is over. */
  #untilDeadlineMs(): number {
    const { deadline, policy } = this.#request
    return deadline.remainingMs() - (policy.minAttemptMs ?? DEFAULT_LIMITS.minAttemptMs)
  }

  /** How long it may still wait, whatever its deadline. */
  #patienceMs(): number {
    const ownHintMs = this.#hintEndsMs === 0 ? 0 : this.#hintEndsMs - this.#nowMs()
    return this.#patience.leftMs(this.#target.state.line, ownHintMs)
  }

  /** The next request is the last one. Not after the first refusal: that may be a moment's. */
  #isLast({ executed }: Failure): boolean {
    const { maxRequests, maxWaitMs } = this.#request.policy
    if (maxWaitMs === 0 || executed !== 'no' || this.#retriesHere === 0) return false
    return this.#requests + 1 === maxRequests && this.#target.state.line.isFailing
  }

  #aborted(): boolean {
    return this.#request.signal?.aborted ?? false
  }

  #nowMs(): number {
    return this.#request.clock.monotonicMs()
  }
}

type Stopped = Extract<LoopOutcome<never>, { readonly ok: false }>

/** The attempt to be made next. */
interface NextAttempt {
  readonly cause: AttemptStep['cause']
  readonly index: number
  /** When it was planned, on the monotonic clock. */
  readonly plannedMs: number
  readonly delaySource?: 'backoff' | 'hint'
  /** It repeats what may have been executed. */
  readonly paying: boolean
}

const FIRST: NextAttempt = { cause: 'initial', index: 0, plannedMs: 0, paying: false }

type Retry = Extract<Verdict, { readonly verdict: 'retry' }>

/** What may have been executed costs the provider something when it is sent again. */
function isRepeated({ executed }: Failure): boolean {
  return executed !== 'no'
}
