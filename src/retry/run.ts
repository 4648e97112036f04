import type { Failure, StopReason } from '../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../errors/failure-kinds.ts'
import { sleep } from '../time.ts'
import { type Admission, admit } from './admit.ts'
import { drawDelayMs } from './backoff.ts'
import type { Withdrawal } from './budget.ts'
import { type DecideInput, decide, type FailedAttempt, type Verdict } from './decide.ts'
import { FALLBACK_COST, fallbacksAfter, targetAt } from './fallbacks.ts'
import { sendWithHedge } from './hedged.ts'
import type {
  AttemptResult,
  AttemptStep,
  LoopOutcome,
  LoopRequest,
  LoopTarget,
} from './loop-contract.ts'
import { refusesReask, withRefusal } from './refused-reask.ts'
import { type Leave, sendAttempt } from './send.ts'
import { abortedFailure, ownFailure, stopFailure } from './stop-failure.ts'

/**
 * One call on its way through its attempts: what has been made, paid and waited, and what comes
 * next. It asks `decide` and obeys; it has no opinion of its own.
 */
export class Run<T> {
  readonly #request: LoopRequest<T>
  #attempts = 0
  #target: LoopTarget
  #next: NextAttempt = { cause: 'initial', index: 0, delayMs: 0 }
  /** `#next` has not been sent yet. */
  #pending = true
  #leave: Leave = NOTHING
  #last: FailedAttempt | undefined
  #payment: Withdrawal | undefined
  /** How long the target asked to be left alone, by its last failure or at the gate. */
  #hintMs = 0
  /** The longest hint behind it. */
  #toldMs = 0
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
  }

  get attempts(): number {
    return this.#attempts
  }

  stopped(): Stopped {
    if (this.#outcome === undefined) throw new Error('The retry loop ended without an outcome')
    return this.#outcome
  }

  /** Sends the attempt that `mayStart` has allowed. */
  async attempt(): Promise<AttemptResult<T>> {
    this.#attempts += 1
    this.#pending = false
    const result = await this.#send()
    if (result.ok) {
      this.#payment?.refund()
      this.#tell({ verdict: 'accept' })
      return result
    }
    if (result.withheld === true) this.#attempts -= 1
    this.#last = result
    // Another call's hint binds this one's retry as well: both go to the same limit.
    const { gate } = this.#target.state
    const nowMs = this.#nowMs()
    const ownMs = Math.max(result.failure.retryAfterMs ?? 0, result.otherHintMs ?? 0)
    this.#hintMs = Math.max(ownMs, gate.waitMs(nowMs))
    this.#toldMs = Math.max(ownMs, gate.toldMs(nowMs))
    return result
  }

  /**
   * Judges what failed, obeys the verdict, and judges again whatever then refuses the next
   * attempt, until an attempt may start (true) or the call is over (false). Without a failure it
   * starts with what might refuse the first attempt.
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

  async #overcome(first: FailedAttempt | Promise<FailedAttempt | undefined>): Promise<boolean> {
    let refused = await first
    while (refused !== undefined) {
      const verdict = this.#named(decide(this.#inputFor(refused)), refused)
      this.#tell(verdict, refused.failure)
      if (!(await this.#obey(verdict, refused))) return false
      refused = await this.#admit()
    }
    return true
  }

  /** A re-ask's final refusal is of what it added: the bad answer before it is why the call fails. */
  #named(verdict: Verdict, { failure }: FailedAttempt): Verdict {
    if (verdict.verdict !== 'stop' || verdict.reason === 'aborted') return verdict
    const isRefused = this.#badAnswer !== undefined && refusesReask(failure)
    return isRefused ? { verdict: 'stop', reason: 'reask_refused' } : verdict
  }

  #send(): Promise<AttemptResult<T>> {
    const { cause, index, delayMs, delaySource } = this.#next
    const request = this.#request
    const target = this.#target
    const leave = this.#leave
    const step: AttemptStep = {
      number: this.#attempts,
      cause,
      target: index,
      delayMs,
      ...(delaySource !== undefined && { delaySource }),
    }
    const { hedging } = target.state
    if (hedging === undefined || cause !== 'initial') {
      return sendAttempt(request, target, step, leave)
    }
    const takeAttempt = () => {
      if (this.#attempts >= request.policy.maxAttempts) return undefined
      this.#attempts += 1
      return this.#attempts
    }
    const returnAttempt = () => {
      this.#attempts -= 1
    }
    return sendWithHedge({ request, target, step, leave, takeAttempt, returnAttempt }, hedging)
  }

  /** Undefined: the next attempt may start, and has what it needs. Else what stands in its way. */
  #admit(): FailedAttempt | undefined | Promise<FailedAttempt | undefined> {
    const admission = admit(this.#request, this.#target, this.#next.cause === 'reask')
    return admission instanceof Promise
      ? admission.then((late) => this.#admitted(late))
      : this.#admitted(admission)
  }

  #admitted(admission: Admission): FailedAttempt | undefined {
    if ('leave' in admission) {
      this.#leave = admission.leave
      this.#hintMs = 0
      return undefined
    }
    const { kind, message, waitMs, crowdedOut } = admission.refused
    const last = this.#last?.failure
    if (kind === 'aborted') return { ok: false, failure: this.#abortedAfter(last) }
    if (kind === 'rate_limit') {
      this.#hintMs = waitMs
      this.#toldMs = this.#target.state.gate.toldMs(this.#nowMs())
    }
    if (crowdedOut !== true) return this.#refusal(kind, message, waitMs)
    // Not judged by the failure before it: that one would be retried, into the same full queue.
    const failure = { ...ownFailure(kind, message, last), code: 'concurrency_limit' }
    return { ok: false, crowdedOut, failure }
  }

  /** Where a retry or re-ask is refused, the failure before it is judged anew. */
  #refusal(kind: FailureKind, message: string, retryAfterMs = 0): FailedAttempt {
    const { cause } = this.#next
    if (this.#last !== undefined && (cause === 'retry' || cause === 'reask')) return this.#last
    const failure = ownFailure(kind, message, this.#last?.failure)
    return { ok: false, failure: retryAfterMs > 0 ? { ...failure, retryAfterMs } : failure }
  }

  #inputFor(result: FailedAttempt): DecideInput {
    const { policy, random, deadline } = this.#request
    const { budget, breaker } = this.#target.state
    const { failure } = result
    const pending = this.#pending
    return {
      result,
      policy,
      attempts: this.#attempts,
      reasks: this.#reasks,
      aborted: this.#aborted(),
      remainingMs: deadline.remainingMs(),
      hintMs: this.#hintMs,
      toldMs: Math.max(this.#hintMs, this.#toldMs),
      retriedOnce: this.#retriedOnce && !pending,
      // A first attempt waits in the gate before it asks the breaker.
      breakerClosed: breaker.state === 'closed' || (pending && this.#next.cause !== 'retry'),
      // A pending attempt is paid for, or free.
      tokenAvailable: pending || budget.has(budget.costOf(failure)),
      backoffMs: () =>
        drawDelayMs(policy.backoff, {
          retry: this.#retriesHere + 1,
          kind: failure.kind,
          previousDelayMs: this.#previousDelayMs,
          random,
        }),
      random,
      fallbacks: fallbacksAfter(this.#next.index, this.#request),
    }
  }

  async #obey(verdict: Verdict, judged: FailedAttempt): Promise<boolean> {
    // An attempt given up before it was sent costs nothing.
    if (this.#pending && verdict.verdict !== 'retry') this.#next.payment?.refund()
    switch (verdict.verdict) {
      case 'accept':
        return false
      case 'stop':
        this.#stop(verdict.reason, judged)
        return false
      case 'reask':
        this.#reasks += 1
        if (!refusesReask(judged.failure)) this.#badAnswer = judged.failure
        this.#plan({ cause: 'reask', index: this.#next.index, delayMs: 0 })
        return true
      case 'fallback':
        this.#fallBack(verdict.target)
        return true
      case 'retry':
        if (this.#pending) this.#prolong(verdict)
        else this.#planRetry(verdict, judged.failure)
        await this.#wait(verdict.delayMs)
        return true
    }
  }

  #plan(next: NextAttempt): void {
    this.#next = next
    this.#pending = true
    this.#payment = next.payment ?? this.#payment
  }

  #planRetry({ delayMs, delaySource }: Retry, failure: Failure): void {
    const { budget } = this.#target.state
    const cost = budget.costOf(failure)
    const payment = cost > 0 ? budget.withdraw(cost) : undefined
    this.#plan({ cause: 'retry', index: this.#next.index, delayMs, delaySource, payment })
    this.#retriesHere += 1
    this.#previousDelayMs = delayMs
    this.#retriedOnce ||= FAILURE_KINDS[failure.kind].retry === 'once'
  }

  /** The gate closed, or is still closed, before an attempt that was already planned. */
  #prolong({ delayMs, delaySource }: Retry): void {
    this.#next = { ...this.#next, delayMs: this.#next.delayMs + delayMs, delaySource }
  }

  #fallBack(index: number): void {
    this.#target = targetAt(this.#request, index)
    this.#badAnswer = undefined
    this.#retriesHere = 0
    this.#previousDelayMs = 0
    const payment = this.#target.state.budget.withdraw(FALLBACK_COST)
    this.#plan({ cause: 'fallback', index, delayMs: 0, payment })
  }

  async #wait(delayMs: number): Promise<void> {
    if (delayMs <= 0) return
    // It rejects only by the signal, which #admit looks at next.
    await sleep(this.#request.clock, delayMs, this.#request.signal).catch(() => {})
  }

  #stop(reason: StopReason, { failure, reask }: FailedAttempt): void {
    if (reason === 'reask_refused' && this.#badAnswer !== undefined) {
      const refused = { answer: this.#badAnswer, refusal: failure }
      this.#outcome = {
        ok: false,
        failure: withRefusal(refused),
        reason,
        deterministic: false,
        attempts: this.#attempts,
        refused,
      }
      return
    }
    if (reason === 'aborted') this.#payment?.refund()
    const facts = { hintMs: this.#hintMs }
    const isLate = reason === 'aborted' && failure.kind !== 'aborted'
    this.#outcome = {
      ok: false,
      failure: isLate ? this.#abortedAfter(failure) : stopFailure(reason, failure, facts),
      reason,
      deterministic: reask === 'repeated',
      attempts: this.#attempts,
    }
  }

  #abortedAfter(last: Failure | undefined): Failure {
    return abortedFailure(last, this.#request.signal?.reason)
  }

  #tell(verdict: Verdict, failure?: Failure): void {
    const { onVerdict } = this.#request
    if (onVerdict === undefined) return
    const event = { verdict, attempts: this.#attempts, target: this.#next.index }
    onVerdict(failure === undefined ? event : { ...event, failure })
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
  readonly delayMs: number
  readonly delaySource?: 'backoff' | 'hint'
  /** Tokens taken for it. */
  readonly payment?: Withdrawal | undefined
}

type Retry = Extract<Verdict, { readonly verdict: 'retry' }>

const NOTHING: Leave = { permit: undefined, slot: undefined }
