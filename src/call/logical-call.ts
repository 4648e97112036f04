import { type AttemptReport, type Failure, isCallError } from '../errors/call-error.ts'
import type { WorkOutcome } from '../idempotency/protocol.ts'
import type { CallReport } from '../report/call-report.ts'
import type { Backoff } from '../retry/backoff.ts'
import { closedFailure } from '../retry/decide.ts'
import type {
  AttemptStep,
  LoopOutcome,
  LoopPolicy,
  LoopRequest,
  VerdictEvent,
} from '../retry/loop.ts'
import { type CallSpan, isWatched, UNWATCHED_CALL } from '../telemetry/telemetry.ts'
import { type Clock, type Closing, type Deadline, deadlineAfter, EndSignal } from '../time.ts'
import { Attempt, type RunningCall } from './attempt.ts'
import { eventOf, type Tell, tellAll, tellSuccess } from './events.ts'
import { multiplicationWarning } from './explain.ts'
import {
  type CallKey,
  Fingerprints,
  IdempotencyHeaders,
  multipliedBefore,
  OuterUse,
  rememberGivenUp,
  repeats,
  resolveKey,
} from './key.ts'
import {
  createScope,
  currentScope,
  currentTrace,
  isWithinOpenStream,
  isWithinOpenStreamOf,
  passFlowOn,
  type Scope,
} from './nesting.ts'
import { giveUp, LateWork, reportOf, sentIn } from './outcome.ts'
import { noticeLongHint, noticeTarget, targetInfo, warnOnce } from './runtime.ts'
import { startSpan } from './span.ts'
import type { AnswerFacts, CallContext, Exchange, Task, WorkBinding } from './task.ts'

/**
 * One call as one object: its task, key and limits, and what has happened so far. It is what the retry
 * loop asks, what its attempts are given, and what its report is made of.
 */
export class LogicalCall<T> implements LoopRequest<T>, LoopPolicy, RunningCall<T> {
  readonly task: Task<T>
  readonly context: CallContext
  readonly key: CallKey
  readonly span: CallSpan
  /** Tells what happens. Undefined without a reader: `tell?.({ … })` then makes no event. */
  readonly tell: Tell | undefined
  readonly headers: IdempotencyHeaders
  /** The caller's own; while work is done, `deadline` may be later, for the callers that joined. */
  readonly ownDeadline: Deadline
  readonly attempts: AttemptReport[] = []
  /** Attempts that have not ended: they go on for others when this caller has left. */
  open = 0
  /** A stream was released: the call is not over before it has ended. */
  isStreaming = false
  /** From the call to its first content, of a stream. */
  firstChunkMs: number | undefined
  /** Of the answer that is returned. */
  facts: AnswerFacts | undefined
  readonly #startedMs: number
  readonly #fingerprints: Fingerprints
  #work: CurrentWork<T> | undefined
  #streamEnd: EndSignal<Failure | undefined> | undefined

  /** @throws {TypeError} for a payload that has no canonical JSON. */
  constructor(task: Task<T>, context: CallContext) {
    const { runtime, settings } = context
    const { clock } = runtime
    this.task = task
    this.context = context
    this.ownDeadline = deadlineAfter(clock, task.options.deadlineMs, currentScope()?.deadline)
    this.key = resolveKey(task, settings, runtime)
    const around = currentTrace()
    this.span = isWatched(around) ? startSpan(task, this.key, context, around) : UNWATCHED_CALL
    this.tell = this.#reader()
    this.headers = new IdempotencyHeaders(this.key)
    this.#startedMs = clock.monotonicMs()
    this.#fingerprints = new Fingerprints(task)
  }

  get elapsedMs(): number {
    return this.clock.monotonicMs() - this.#startedMs
  }

  /** Host of the first target, or the name of the function. */
  get where(): string {
    return this.task.targets[0].host ?? this.task.name
  }

  /** The result is to be kept under the key: the caller gave it, or had it derived. */
  get isKept(): boolean {
    return this.key.fingerprint !== undefined
  }

  // What the loop asks.

  get policy(): LoopPolicy {
    return this
  }

  get clock(): Clock {
    return this.context.runtime.clock
  }

  get random(): () => number {
    return this.context.runtime.random
  }

  get signal(): AbortSignal | undefined {
    return this.#working.binding.signal
  }

  get deadline(): Deadline {
    return this.#working.binding.deadline
  }

  get closing(): Closing | undefined {
    return this.context.closing
  }

  get targets(): Task<T>['targets'] {
    return this.task.targets
  }

  get tokens(): Task<T>['tokens'] {
    return this.task.tokens
  }

  /** Equal requests of the same outer call spend it together. */
  get maxAttempts(): number {
    return this.#working.outer.attemptsLeft
  }

  get maxRequests(): number {
    return this.#working.outer.requestsLeft
  }

  get maxReasks(): number {
    return this.task.options.maxReasks
  }

  get maxWaitMs(): number {
    return this.task.options.maxWaitMs
  }

  get maxHintMs(): number {
    return this.task.options.maxHintMs
  }

  get minAttemptMs(): number {
    return this.task.options.minAttemptMs
  }

  get backoff(): Backoff | undefined {
    return this.task.options.backoff
  }

  get bulk(): boolean {
    return this.task.options.priority === 'bulk'
  }

  // A user's function may do anything; only a completion is known to be safe to ask for twice.
  get mayHedge(): boolean {
    return !this.task.isFunction
  }

  /** A stricter caller may join. */
  get onUncertain(): 'rerun' | 'fail' {
    return this.#working.binding.onUncertain
  }

  /** A refusal after a timeout does not undo what the timeout may have left behind. */
  get mayHaveRun(): boolean {
    return this.attempts.some(({ executed }) => executed !== 'no')
  }

  /** An attempt in flight, or a reader of a stream, waits for this call. */
  get nested(): boolean {
    return this.#working.isNested
  }

  holdsPlaceIn(line: object): boolean {
    const { around, isNested } = this.#working
    return isNested && (around?.isInFlight(line) === true || isWithinOpenStreamOf(line))
  }

  spentAt(target: number): Failure | undefined {
    return this.#working.outer.spentAt(target)
  }

  /** What failed before the claim was lost counts; a stream that was released does not. */
  get sentBefore(): LoopRequest<T>['sentBefore'] {
    return this.#working.sentBefore
  }

  attempt(step: AttemptStep): ReturnType<Attempt<T>['make']> {
    if (this.#working.binding.dispatch !== undefined) return this.#dispatch(step)
    return new Attempt(this, step).make()
  }

  /** Asks the store first whether it may be sent. */
  async #dispatch(step: AttemptStep): ReturnType<Attempt<T>['make']> {
    const withheld = await this.#whyWithheld(step, this.#working)
    if (withheld !== undefined) return { ok: false, withheld: true, failure: withheld }
    return await new Attempt(this, step).make()
  }

  onVerdict(judged: VerdictEvent): void {
    const { failure } = judged
    const target = this.targets[judged.target] ?? this.targets[0]
    noticeTarget(this, target)
    // Accepted: the attempt's own report says so.
    if (failure === undefined) return
    // Told when it is known how long the call has waited.
    if (judged.verdict.verdict === 'stop') this.#working.stopped = judged
    noticeLongHint(this.context.runtime, target, failure)
    const event = this.tell && eventOf(judged, failure, this.targets)
    if (event !== undefined) this.tell?.(event)
  }

  // What its attempts are given.

  get work(): CurrentWork<T> {
    return this.#working
  }

  get propagatesTrace(): boolean {
    return this.context.settings.telemetry?.propagateTraceparent === true
  }

  attemptStarted(): void {
    this.open += 1
  }

  attemptEnded(attempt: AttemptReport): void {
    this.open -= 1
    this.attempts.push(Object.freeze(attempt))
    // Of two that ran beside each other the second may end first.
    this.attempts.sort((a, b) => a.number - b.number)
    this.tell?.({ type: 'attempt-ended', attempt })
  }

  /** Of two good answers the first is returned. */
  answered(facts: AnswerFacts): void {
    this.facts ??= facts
  }

  streams(): void {
    this.isStreaming = true
    this.firstChunkMs ??= this.elapsedMs
  }

  streamEnded(cut: Failure | undefined, facts: AnswerFacts): void {
    this.answered(facts)
    this.#ending.tell(cut)
  }

  goesOn(work: PromiseLike<unknown>, exchange: Exchange): void {
    this.#working.late?.add(work, exchange)
  }

  multiplied(seen: Parameters<RunningCall<T>['multiplied']>[0]): 'warn' | 'throw' {
    const { runtime, settings } = this.context
    const reaction = settings.onMultipliedRetries ?? 'warn'
    this.tell?.({ type: 'retries-multiplied', ...seen })
    if (reaction === 'throw') this.context.multiplied = true
    warnOnce(runtime, 'STEADYCALL_MULTIPLIED_RETRIES', multiplicationWarning(seen))
    return reaction
  }

  // How it begins and ends.

  /** Work begins, bound like this. Why it is refused, if it is: then none of it is sent. */
  begin(binding: WorkBinding): ReturnType<typeof multipliedBefore> {
    const { last, sentBefore } = this.#work ?? {}
    const work = new CurrentWork(this, binding, this.#fingerprints, last ?? sentBefore?.failure)
    this.#work = work
    const refusal =
      work.outer.refusal ?? multipliedBefore(this.context) ?? repeats(this, this.#fingerprints)
    if (refusal !== undefined) passFlowOn()
    return refusal
  }

  /** The work has ended without a good answer: the error, and what the key's record becomes. */
  giveUp(ended: Parameters<typeof giveUp>[2]): WorkOutcome<T> {
    const work = this.#working
    work.scope.settled = true
    const { failedAt, stopped, late } = work
    rememberGivenUp(this, ended.failure, this.#fingerprints, failedAt ?? new Set())
    if (stopped !== undefined) this.#tellStopped(stopped, ended)
    const completion = work.completionFor(ended.refused?.answer)
    return giveUp(this, work.binding, ended, { completion, late: late?.end(this.#doubts) })
  }

  /** The work has ended well. */
  settle(outcome: Extract<LoopOutcome<T>, { readonly ok: true }>): WorkOutcome<T> {
    this.#working.scope.settled = true
    return outcome
  }

  succeed(how: Pick<CallReport, 'source' | 'persisted'>, answer?: unknown): CallReport {
    const report = reportOf(this, { outcome: 'success', ...how })
    const { tell, firstChunkMs, facts = {} } = this
    if (tell !== undefined) tellSuccess(tell, report, facts, answer, firstChunkMs)
    return report
  }

  /** The report of a stream that has only begun. */
  soFar(how: Pick<CallReport, 'source' | 'persisted'>): CallReport {
    return reportOf(this, { outcome: 'success', ...how })
  }

  fail(end: Parameters<typeof reportOf>[1]): CallReport {
    const report = reportOf(this, end)
    this.tell?.({ type: 'call-settled', report, traced: { firstChunkMs: this.firstChunkMs } })
    return report
  }

  /** Calls back when the stream that was released has ended; with a failure that cut it. */
  whenStreamEnds(listener: (cut: Failure | undefined) => void): void {
    this.#ending.whenEnded(listener)
  }

  get #ending(): EndSignal<Failure | undefined> {
    this.#streamEnd ??= new EndSignal()
    return this.#streamEnd
  }

  get #working(): CurrentWork<T> {
    if (this.#work === undefined) throw new Error('The work of this call has not begun')
    return this.#work
  }

  /** How many attempts may have been executed, and did not say. */
  get #doubts(): number {
    return this.attempts.filter(({ executed }) => executed === 'maybe').length
  }

  #reader(): Tell | undefined {
    const { onEvent } = this.context.settings
    const { operation } = this.task
    const span = this.span === UNWATCHED_CALL ? undefined : this.span
    if (onEvent === undefined && span === undefined) return undefined
    return tellAll(onEvent, { operation, idempotencyKey: this.key.text }, span)
  }

  /** Undefined: it may be sent. Else what it was not sent for. */
  async #whyWithheld(step: AttemptStep, work: CurrentWork<T>): Promise<Failure | undefined> {
    const { binding, last } = work
    const again = step.cause === 'hedge' || this.mayHaveRun
    const unsent = { retryable: false, executed: 'no' } as const
    try {
      await binding.dispatch?.({ again, signal: step.signal })
    } catch (error) {
      const kind = isCallError(error) ? error.kind : 'store_unavailable'
      return { ...unsent, kind, message: kind, cause: error }
    }
    if (this.closing?.isClosed) return closedFailure(last)
    // The store took its time.
    if (this.deadline.remainingMs() < this.minAttemptMs) {
      return { ...unsent, kind: 'deadline', message: 'deadline', cause: last?.cause }
    }
    // It has been forbidden since it was planned, here or in another process.
    if (!again || binding.onUncertain === 'rerun') return undefined
    return last ?? { ...unsent, kind: 'outcome_unknown', message: 'forbidden', cause: undefined }
  }

  /** No attempt follows what was judged; the call may have waited for one in vain. */
  #tellStopped(
    { requests: number, target, failure }: VerdictEvent,
    ended: Parameters<typeof giveUp>[2],
  ): void {
    if (this.tell === undefined || failure === undefined) return
    const { reason, heldBy, waits } = ended
    const { kind } = failure
    const traced = { target: targetInfo(this.targets[target]), heldBy }
    this.tell({ type: 'call-stopped', number, reason, kind, ...(waits && { waits }), traced })
  }
}

/** The work of a call between two losses of its claim: mostly there is one. */
class CurrentWork<T> {
  readonly binding: WorkBinding
  readonly around: Scope | undefined
  readonly isNested: boolean
  readonly outer: OuterUse
  readonly scope: Scope
  /** Takes what goes on after a limit cut it off, where that may still be kept. */
  readonly late: LateWork<T> | undefined
  readonly sentBefore: LoopRequest<T>['sentBefore']
  /** Targets at which an attempt has failed. */
  failedAt: Set<number> | undefined
  last: Failure | undefined
  stopped: VerdictEvent | undefined
  #completion: unknown
  #completions: WeakMap<Failure, unknown> | undefined

  constructor(
    { task, attempts }: LogicalCall<T>,
    binding: WorkBinding,
    fingerprints: Fingerprints,
    before: Failure | undefined,
  ) {
    this.binding = binding
    this.around = currentScope()
    this.isNested = this.around !== undefined || isWithinOpenStream()
    this.outer = new OuterUse(this.around, fingerprints, task.options)
    this.scope = createScope(binding.deadline, this.around)
    const mayBeLate = binding.dispatch !== undefined && task.late !== undefined
    this.late = mayBeLate ? new LateWork(task) : undefined
    this.sentBefore = before && sentIn(attempts, before)
  }

  attemptEnded(step: AttemptStep, end: Awaited<ReturnType<Attempt<T>['make']>>): void {
    this.scope.leave()
    // The loser of two hedged attempts says nothing about the request.
    if (step.signal?.aborted === true) return
    if (end.ok) {
      this.outer.succeeded(step.target)
      return
    }
    const { failure, completion } = end
    this.outer.failed(step.target, failure)
    this.failedAt = (this.failedAt ?? new Set()).add(step.target)
    this.last = failure
    this.#completion = completion
    if (completion === undefined) return
    this.#completions ??= new WeakMap()
    this.#completions.set(failure, completion)
  }

  /** The bad answer that the call fails with: the last, or that of a re-ask that was refused. */
  completionFor(answer: Failure | undefined): unknown {
    return answer === undefined ? this.#completion : this.#completions?.get(answer)
  }
}
