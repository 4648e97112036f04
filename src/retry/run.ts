import type { Failure, StopReason } from '../errors/call-error.ts'
import { FAILURE_KINDS } from '../errors/failure-kinds.ts'
import {
  Admission,
  fallbacksAfter,
  type Permit,
  type PlannedSend,
  reportEnd,
  sendUnlessClosed,
} from './admit.ts'
import { drawDelayMs } from './backoff.ts'
import {
  abortedFailure,
  closedFailure,
  type DecideInput,
  decide,
  type GoOn,
  heldFailure,
  ownFailure,
  type StepFailure,
  spentBy,
  stopFailure,
  type Verdict,
} from './decide.ts'
import type { Held } from './health/line-contract.ts'
import type { PermitRefusal } from './health/waiting.ts'
import { sendAttempt, sendWithHedge } from './hedged.ts'
import {
  type AttemptStep,
  type LoopOutcome,
  type LoopRequest,
  refusesReask,
  type StepResult,
  withRefusal,
} from './loop-contract.ts'

/** The state of one call in the retry loop: what it has sent, and what comes next. */
export class Run<T> {
  readonly #request: LoopRequest<T>
  readonly #admission: Admission<T>
  /** Number of requests sent. */
  #requests: number
  /** How many of them were refused without being executed, so that no model worked on them. */
  #refused: number
  #sentAtMs = 0
  /**
   * Permit of the attempt in flight, until its end is reported to the line. With hedging two attempts may be in
   * flight, and `sendAttempt` reports each; otherwise this object does, which saves an async function.
   */
  #unreported: Permit | undefined
  #next: NextStep = FIRST
  /** Whether `#next` has not been sent yet. */
  #pending = true
  #permit: Permit | undefined
  #last: StepFailure | undefined
  /** How long the last attempt took if it timed out, otherwise 0; in milliseconds. */
  #slowMs = 0
  /** When the hint given to the call ends, on the monotonic clock; 0 if there is none. */
  #hintEndsMs = 0
  /** When the own wait of `#next` ends; no other wait may cut it short. */
  #notBeforeMs = 0
  #reasks = 0
  /** The failure that caused the current or last re-ask at this target. */
  #badAnswer: Failure | undefined
  #retriesHere = 0
  #previousDelayMs = 0
  #retriedOnce = false
  #outcome: Stopped | undefined

  constructor(request: LoopRequest<T>) {
    this.#request = request
    this.#admission = new Admission(request)
    const { requests = 0, refused = 0 } = request.sentBefore ?? {}
    this.#requests = requests
    this.#refused = refused
  }

  get requests(): number {
    return this.#requests
  }

  /** How the call ended without a good answer, once the loop has stopped. */
  get stopped(): Stopped {
    if (this.#outcome === undefined) throw new Error('The retry loop ended without an outcome')
    return this.#outcome
  }

  /** Returns undefined if the first attempt may be sent now, otherwise what holds or refuses it. */
  start(): StepFailure | undefined {
    // If an equal call has used up all attempts, its failure is also this call's.
    const spent = this.#request.spentAt?.(0)
    if (spent !== undefined) return { ok: false, failure: { ...spent, executed: 'no' } }
    return this.#spentBefore() ?? this.admit()
  }

  /** Work that was interrupted may have used up every attempt: its failure is the call's. */
  #spentBefore(): StepFailure | undefined {
    const { policy, sentBefore } = this.#request
    const isSpent = sentBefore !== undefined && spentBy(this.#sent, policy) !== undefined
    return isSpent ? { ok: false, failure: sentBefore.failure } : undefined
  }

  /** Returns undefined if the next attempt may be sent now, otherwise what holds or refuses it. */
  admit(): StepFailure | undefined {
    if (this.#permit !== undefined) return undefined
    if (this.#request.signal?.aborted) return { ok: false, failure: this.#abortedAfterLast() }
    if (this.#admission.untilDeadlineMs() < 0) {
      return this.#refusal(ownFailure('deadline', 'No time for an attempt', this.#last?.failure))
    }
    const entered = this.#admission.enter(this.#planned())
    if (isHeld(entered)) return { ...this.#refusal(this.#heldFailure(entered)), held: entered }
    this.#permit = entered
    return undefined
  }

  /** Sends the admitted attempt. */
  send(): Promise<StepResult<T>> | StepFailure {
    this.#requests += 1
    this.#pending = false
    this.#sentAtMs = this.#nowMs()
    return this.#send(this.#takePermit())
  }

  /** Takes note of how the attempt that was sent has ended. */
  noteEnd(result: StepResult<T>): StepResult<T> {
    this.#reportEnd(result)
    if (result.ok) {
      this.tell({ verdict: 'accept' })
      return result
    }
    if (result.withheld === true) this.#requests -= 1
    else if (result.failure.executed === 'no') this.#refused += 1
    this.#last = result
    const nowMs = this.#nowMs()
    this.#slowMs = result.failure.kind === 'timeout' ? nowMs - this.#sentAtMs : 0
    const hintMs = Math.max(result.failure.retryAfterMs ?? 0, result.otherHintMs ?? 0)
    this.#hintEndsMs = hintMs > 0 ? nowMs + hintMs : 0
    return result
  }

  /** To be called at the end of the loop, even if `attempt` rejected: its place in the line is given back. */
  leave(): void {
    this.#reportEnd(undefined)
  }

  #reportEnd(result: StepResult<T> | undefined): void {
    const permit = this.#unreported
    if (permit === undefined) return
    this.#unreported = undefined
    const over = { result, sentAtMs: this.#sentAtMs, isAborted: false }
    reportEnd(this.#admission.target.state.line, permit, over)
  }

  decide(judged: StepFailure): Verdict {
    return decide(this.#inputFor(judged))
  }

  /** Reports a verdict before it is carried out. */
  tell(verdict: Verdict, failure?: Failure): void {
    if (this.#request.onVerdict === undefined) return
    const event = { verdict, requests: this.#requests, target: this.#next.index }
    this.#request.onVerdict(failure === undefined ? event : { ...event, failure })
  }

  /** Carries out the verdict, including its wait. Returns what to judge next if the wait ended without permission. */
  async obey(verdict: GoOn, { failure }: StepFailure): Promise<StepFailure | undefined> {
    switch (verdict.verdict) {
      case 'reask':
        this.#reasks += 1
        if (!refusesReask(failure)) this.#badAnswer = failure
        this.#plan({ ...FIRST, cause: 'reask', index: this.#next.index })
        return undefined
      case 'fallback':
        this.#fallBack(verdict.target)
        return undefined
      case 'retry':
        this.#planRetry(verdict, failure)
        this.#tellOfLine(verdict.delayMs, failure)
        return this.#wait(verdict.delayMs)
      case 'wait':
        return this.#wait(0)
    }
  }

  stop(reason: StopReason, { failure, reask, permitRefusal, held }: StepFailure): void {
    const { waitedMs, line } = this.#admission
    const requests = this.#requests
    if (reason === 'reask_refused' && this.#badAnswer !== undefined) {
      const refused = { answer: this.#badAnswer, refusal: failure }
      const told = { failure: withRefusal(refused), reason, refused, deterministic: false }
      this.#outcome = { ok: false, ...told, requests, waitedMs }
      return
    }
    const heldBy = (permitRefusal ?? held)?.by
    const waits = this.#admission.takeWaits()
    const hintMs = Math.max(this.#hintEndsMs - this.#nowMs(), line.toldForMs)
    const isLate = reason === 'aborted' && failure.kind !== 'aborted'
    this.#outcome = {
      ok: false,
      failure: isLate ? this.#abortedAfter(failure) : stopFailure(reason, failure, { hintMs }),
      reason,
      deterministic: reask === 'repeated',
      requests,
      waitedMs,
      ...(waits.length > 0 && { waits }),
      ...(heldBy !== undefined && { heldBy }),
    }
  }

  /** Attempts that a model may have worked on, and requests. */
  get #sent(): Pick<DecideInput, 'attempts' | 'requests'> {
    return { attempts: this.#requests - this.#refused, requests: this.#requests }
  }

  #takePermit(): Permit {
    const permit = this.#permit
    if (permit === undefined) throw new Error('An attempt needs a permit of its line')
    this.#permit = undefined
    return permit
  }

  #send(permit: Permit): Promise<StepResult<T>> | StepFailure {
    const { cause, index, plannedMs, delaySource } = this.#next
    const request = this.#request
    const { target } = this.#admission
    const waits = this.#admission.takeWaits()
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
    if (hedging === undefined) {
      this.#unreported = permit
      return sendUnlessClosed(request, step)
    }
    if (cause !== 'initial') return sendAttempt(request, target, step, permit)
    const takeAttempt = () => {
      const { maxAttempts, maxRequests } = request.policy
      if (this.#requests >= Math.min(maxAttempts, maxRequests)) return undefined
      this.#requests += 1
      return this.#requests
    }
    const returnAttempt = () => {
      this.#requests -= 1
    }
    return sendWithHedge({ request, target, step, permit, takeAttempt, returnAttempt }, hedging)
  }

  /** Waits for the call's turn. Then it has permission to send, or the failed wait is to be judged. */
  async #wait(delayMs: number): Promise<StepFailure | undefined> {
    const { policy, closing } = this.#request
    if (policy.maxWaitMs === 0) {
      await this.#admission.pause(this.#planned(), delayMs)
      this.#notBeforeMs = 0
      return closing?.isClosed ? { ok: false, failure: this.#abortedAfterLast() } : undefined
    }
    const outcome = await this.#admission.wait(this.#planned(), delayMs)
    if (isHeld(outcome))
      return { ...this.#refusal(this.#heldFailure(outcome)), permitRefusal: outcome }
    this.#permit = outcome
    return undefined
  }

  #inputFor(result: StepFailure): DecideInput {
    const { policy, random, deadline, signal, closing } = this.#request
    const admission = this.#admission
    const { failure } = result
    return {
      result,
      policy,
      ...this.#sent,
      reasks: this.#reasks,
      aborted: signal?.aborted ?? false,
      closed: closing?.isClosed === true,
      reaskRefused: this.#badAnswer !== undefined && refusesReask(failure),
      remainingMs: deadline.remainingMs(),
      patienceMs: admission.patienceMs(this.#hintEndsMs),
      waits: policy.maxWaitMs > 0,
      hintMs: this.#pending ? 0 : Math.max(this.#hintEndsMs - this.#nowMs(), 0),
      retriedOnce: this.#retriedOnce && !this.#pending,
      heldAfter: (delayMs) => admission.heldAfter(this.#planned(isRepeated(failure)), delayMs),
      backoffMs: () => {
        const leftMs = admission.leftMs(this.#hintEndsMs)
        return drawDelayMs(policy.backoff, {
          retry: this.#retriesHere + 1,
          kind: failure.kind,
          previousDelayMs: this.#previousDelayMs,
          random,
          isDown: admission.line.isDown,
          // Leaves time for two more waits of the same length.
          slowMs: Math.min(this.#slowMs, leftMs / 3),
          leftMs,
          waitedMs: admission.waitedMs,
          isLast: this.#isLast(failure),
        })
      },
      fallbacks: fallbacksAfter(this.#next.index, this.#request),
    }
  }

  #planned(paying = this.#next.paying): PlannedSend {
    return {
      index: this.#next.index,
      requests: this.#requests,
      paying,
      own: this.#next.delaySource === 'hint' ? 'hint' : 'backoff',
      notBeforeMs: this.#notBeforeMs,
      hintEndsMs: this.#hintEndsMs,
    }
  }

  #plan(next: Omit<NextStep, 'plannedMs'>): void {
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
    this.#admission.moveTo(index)
    this.#hintEndsMs = 0
    this.#badAnswer = undefined
    this.#retriesHere = 0
    this.#previousDelayMs = 0
    this.#plan({ ...FIRST, cause: 'fallback', index })
  }

  /** If the line holds the retry longer than its own wait does, that is reported as well. */
  #tellOfLine(delayMs: number, failure: Failure): void {
    const { policy } = this.#request
    if (this.#request.onVerdict === undefined || policy.maxWaitMs === 0) return
    const held = this.#admission.heldAfter(this.#planned(), delayMs)
    const own = this.#next.delaySource
    if (held.by !== 'backoff' && held.by !== own) this.tell({ verdict: 'wait', held }, failure)
  }

  #heldFailure(held: Held | PermitRefusal): Failure {
    const { target, line } = this.#admission
    return heldFailure(held, line, target.name, this.#last?.failure)
  }

  /** If a retry or re-ask is held, the failure of the previous attempt is judged again. */
  #refusal(failure: Failure): StepFailure {
    const { cause } = this.#next
    if (this.#last !== undefined && (cause === 'retry' || cause === 'reask')) {
      const { failure: last } = this.#last
      const { retryAfterMs } = failure
      return { ok: false, failure: retryAfterMs === undefined ? last : { ...last, retryAfterMs } }
    }
    return { ok: false, failure }
  }

  #abortedAfterLast(): Failure {
    return this.#abortedAfter(this.#last?.failure)
  }

  #abortedAfter(last: Failure | undefined): Failure {
    const { signal, closing } = this.#request
    const isClosed = closing?.isClosed === true && signal?.aborted !== true
    return isClosed ? closedFailure(last) : abortedFailure(last, signal?.reason)
  }

  /** Whether the next request is the last. Not after the first refusal, which may be momentary. */
  #isLast({ executed }: Failure): boolean {
    const { maxRequests, maxWaitMs } = this.#request.policy
    if (maxWaitMs === 0 || executed !== 'no' || this.#retriesHere === 0) return false
    return this.#requests + 1 === maxRequests && this.#admission.line.isFailing
  }

  #nowMs(): number {
    return this.#request.clock.monotonicMs()
  }
}

type Stopped = Extract<LoopOutcome<never>, { readonly ok: false }>

/** The next attempt. */
interface NextStep {
  readonly cause: AttemptStep['cause']
  readonly index: number
  /** When it was planned, on the monotonic clock. */
  readonly plannedMs: number
  readonly delaySource?: 'backoff' | 'hint'
  /** Whether it repeats an attempt that may have been executed. */
  readonly paying: boolean
}

const FIRST: NextStep = { cause: 'initial', index: 0, plannedMs: 0, paying: false }

type Retry = Extract<Verdict, { readonly verdict: 'retry' }>

function isHeld<Held extends object>(outcome: Permit | Held): outcome is Held {
  return !('ticket' in outcome)
}

/** Repeating an attempt that may have been executed costs the provider something. */
function isRepeated({ executed }: Failure): boolean {
  return executed !== 'no'
}
