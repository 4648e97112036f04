import type { AttemptReport, Failure } from '../errors/call-error.ts'
import { TOO_MANY_REDIRECTS } from '../errors/cause-rules.ts'
import { classify, isNotExecuted } from '../errors/classify.ts'
import { FailedAnswer } from '../errors/failed-answer.ts'
import { runtimeLimit } from '../errors/runtime-limits.ts'
import type { ReadingPace } from '../retry/health/places.ts'
import type { AttemptStep, StepResult } from '../retry/loop.ts'
import { type AttemptSpan, type CallSpan, UNWATCHED_ATTEMPT } from '../telemetry/telemetry.ts'
import { Bounds, type Clock, type Deadline } from '../time.ts'
import { withoutUndefined } from '../without-undefined.ts'
import type { Tell } from './events.ts'
import type { CallKey, IdempotencyHeaders } from './key.ts'
import { isExhausted, openInFlow, runInScope, type Scope } from './nesting.ts'
import { attemptReport } from './outcome.ts'
import { noticeTarget, targetInfo } from './runtime.ts'
import type { AnswerFacts, Exchange, Sent, Task, Wire } from './task.ts'

/** What an attempt needs of the call that makes it. */
export interface RunningCall<T> {
  readonly task: Task<T>
  readonly clock: Clock
  readonly key: CallKey
  readonly headers: IdempotencyHeaders
  readonly signal: AbortSignal | undefined
  readonly deadline: Deadline
  /** What is being done for it now. */
  readonly work: {
    readonly scope: Scope
    /** The attempt of this step is over. */
    attemptEnded(step: AttemptStep, end: StepEnd<unknown>): void
  }
  readonly span: CallSpan
  readonly tell: Tell | undefined
  /** The request carries the `traceparent` of its attempt. */
  readonly propagatesTrace: boolean
  attemptStarted(): void
  attemptEnded(report: AttemptReport): void
  /** A good answer came. */
  answered(facts: AnswerFacts): void
  /** A stream has been released: the call is not over before it ends. */
  streams(): void
  streamEnded(cut: Failure | undefined, facts: AnswerFacts): void
  /** A limit has cut the attempt off; what it was waiting for goes on. */
  goesOn(work: PromiseLike<unknown>, exchange: Exchange): void
  /** Under `'throw'`, a failed attempt whose requests were multiplied fails as that. */
  multiplied(seen: Multiplication): 'warn' | 'throw'
}

/** Requests that something else made of the one we asked for. */
interface Multiplication {
  /** Seen on the wire. */
  readonly wireRequests: number
  /** Made by the gateway, where it said so. */
  readonly gatewayAttempts?: number
}

/** An attempt's result, with what the call needs of it besides. */
type StepEnd<T> = StepResult<T> & { readonly completion?: unknown }

/**
 * One attempt: one request under one set of limits, with a span and a report of its own. What its
 * task sends by is this object.
 */
export class Attempt<T> implements Exchange {
  readonly number: number
  readonly cause: AttemptStep['cause']
  readonly target: number
  readonly bounds: Bounds
  readonly wire: Wire | undefined
  readonly #call: RunningCall<T>
  readonly #step: AttemptStep
  readonly #work: RunningCall<T>['work']
  readonly #targetName: string
  readonly #span: AttemptSpan
  readonly #startedAtMs: number
  readonly #startedMs: number

  constructor(call: RunningCall<T>, step: AttemptStep) {
    const { task, clock } = call
    this.#call = call
    this.#step = step
    this.#work = call.work
    this.number = step.number
    this.cause = step.cause
    this.target = step.target
    const target = task.targets[step.target]
    this.#work.scope.enter((target ?? task.targets[0]).state.line)
    this.#targetName = target?.name ?? task.name
    if (target !== undefined) noticeTarget(call, target)
    this.#startedAtMs = clock.wallMs()
    this.#startedMs = clock.monotonicMs()
    this.#span = this.#begin()
    this.wire = task.watch?.(step.number)
    this.bounds = new Bounds({
      clock,
      timeoutMs: task.timeoutMs,
      deadline: call.deadline,
      signal: either(call.signal, step.signal),
    })
  }

  get clock(): Clock {
    return this.#call.clock
  }

  get key(): string {
    return this.#call.key.text
  }

  get traceparent(): string | undefined {
    // Only where it was asked for: by default nothing of a trace is sent to a provider.
    return this.#call.propagatesTrace ? this.#span.traceparent : undefined
  }

  get showsContent(): boolean {
    return this.#call.span.showsContent
  }

  idempotencyHeader(body: unknown): string {
    const { headers } = this.#call
    return this.cause === 'hedge' ? headers.beside(body) : headers.next(body)
  }

  /** Never rejects: whatever the task throws comes back classified. */
  async make(): Promise<StepEnd<T>> {
    const { task, headers } = this.#call
    const { scope } = this.#work
    let sent: Sent<T>
    try {
      const frame = { scope, wire: this.wire, trace: this.#span.context }
      sent = await this.#span.run(() => runInScope(frame, () => task.send(this)))
    } catch (error) {
      sent = this.#thrown(error)
    }
    sent = this.#judged(sent)
    if (isCompleteAnswer(sent)) headers.answered()
    task.lookAround?.(sent.ok, this)
    const allowances = task.allowances?.(this)
    const end = this.#settled(this.#withMultiplication(sent), allowances && { allowances })
    // Here, not in an async function around this one: each that waits costs memory.
    this.#work.attemptEnded(this.#step, end)
    return end
  }

  #settled(sent: Sent<T>, said: Pick<StepEnd<T>, 'allowances'> | undefined): StepEnd<T> {
    if (sent.ok && sent.onTail !== undefined) {
      const { value, pace = NEVER_IDLE } = sent
      return { ok: true, value, stream: { ended: this.#keepOpen(sent.onTail), pace }, ...said }
    }
    this.bounds.dispose()
    this.#end(sent.ok ? undefined : sent.failure, sent.facts)
    if (!sent.ok) {
      const { failure, reask, completion } = sent
      return withoutUndefined({ ok: false as const, failure, reask, completion, ...said })
    }
    this.#call.answered(sent.facts)
    const tokens = this.#tokensIn(sent.facts)
    return { ok: true, value: sent.value, ...(tokens !== undefined && { tokens }), ...said }
  }

  #thrown(error: unknown): Sent<T> {
    const { task } = this.#call
    if (this.bounds.cutOff !== undefined) this.#call.goesOn(this.bounds.cutOff, this)
    const failure = classifyThrown(error, this, task.isFunction)
    return {
      ok: false,
      failure: task.judge?.(failure, this) ?? failure,
      facts: task.thrownFacts?.(this) ?? {},
    }
  }

  #judged(sent: Sent<T>): Sent<T> {
    const { task } = this.#call
    if (sent.ok || task.judgeAny === undefined) return sent
    return { ...sent, failure: task.judgeAny(sent.failure, this) }
  }

  /** Something below us retries: it is told, and thrown where that was asked for. Never a paid success. */
  #withMultiplication(sent: Sent<T>): Sent<T> {
    const { wire } = this
    // A user's function may send any number of requests: they are no multiplication.
    if (wire === undefined) return sent
    if (!wire.isMultiplied && !sent.facts.gatewayMultiplied) return sent
    // Redirected in a circle: no layer retried.
    if (!sent.ok && sent.failure.code === TOO_MANY_REDIRECTS) return sent
    const reaction = this.#call.multiplied(this.#multiplication(sent.facts))
    if (sent.ok || reaction === 'warn') return sent
    const { failure } = sent
    return { ...sent, failure: { ...failure, kind: 'multiplied_retries', retryable: false } }
  }

  #multiplication({ gatewayAttempts, gatewayMultiplied }: AnswerFacts): Multiplication {
    return {
      wireRequests: this.wire?.requests ?? 1,
      ...(gatewayMultiplied && gatewayAttempts !== undefined && { gatewayAttempts }),
    }
  }

  /** A released stream: span and report of its attempt wait for its end. */
  #keepOpen(
    onTail: NonNullable<Extract<Sent<T>, { ok: true }>['onTail']>,
  ): Promise<number | undefined> {
    const call = this.#call
    call.streams()
    const close = openInFlow(call.task.targets[this.target]?.state.line)
    return new Promise((resolve) => {
      onTail(({ failure: cut, facts }) => {
        // A stream tells only now; it was paid for, so nothing is thrown.
        if (facts.gatewayMultiplied) call.multiplied(this.#multiplication(facts))
        this.#end(cut, facts)
        // One that was released in the very moment its rival won is not what the caller reads.
        if (this.#step.signal?.aborted !== true) call.streamEnded(cut, facts)
        close()
        resolve(this.#tokensIn(facts))
      })
    })
  }

  #tokensIn({ usage }: AnswerFacts): number | undefined {
    return usage && this.#call.task.tokens?.used(this.target, usage)
  }

  /** Tells of the attempt, and opens its span; makes neither without a reader. */
  #begin(): AttemptSpan {
    const { tell, span, task } = this.#call
    this.#call.attemptStarted()
    if (tell === undefined) return UNWATCHED_ATTEMPT
    const { number, cause, delayMs, delaySource, waits } = this.#step
    tell({ type: 'attempt-started', number, cause, target: this.#targetName, delayMs })
    const target = task.targets[this.target]
    const isProbe = target?.state.line.isDown === true
    const info = targetInfo(target)
    return span.startAttempt({ number, cause, delayMs, delaySource, waits, isProbe, ...info })
  }

  /** Ends span and report; `failure` is undefined for a success. */
  #end(failure: Failure | undefined, facts: AnswerFacts): void {
    const report = attemptReport({
      step: this.#step,
      target: this.#targetName,
      failure,
      facts,
      wireRequests: this.wire?.requests,
      startedAtMs: this.#startedAtMs,
      durationMs: this.clock.monotonicMs() - this.#startedMs,
    })
    this.#span.end(report, { firstChunkMs: facts.firstChunkMs, chunks: facts.chunks })
    this.#call.attemptEnded(report)
  }
}

const NEVER_IDLE: ReadingPace = { idleForMs: () => 0 }

function either(a: AbortSignal | undefined, b: AbortSignal | undefined): AbortSignal | undefined {
  return a === undefined || b === undefined ? (a ?? b) : AbortSignal.any([a, b])
}

/** What the task threw, or the limit that made it throw. */
export function classifyThrown(
  error: unknown,
  { bounds, wire, clock }: Pick<Exchange, 'bounds' | 'wire' | 'clock'>,
  isFunction: boolean,
): Failure {
  const limit = limitReached(bounds, error)
  if (limit !== undefined) return limit
  if (error instanceof FailedAnswer) return error.failure
  const { status, headers, errorBody: body, limitCode } = wire ?? NOTHING_SEEN
  const found = classify(error, { status, headers, body, limitCode, now: clock.wallMs() })
  return {
    ...found,
    // What the runtime ended itself is not for the provider to mend.
    ...(found.status === undefined && runtimeLimit(found.code)),
    message: found.kind,
    cause: error,
    // The innermost steadycall layer has the hints, and has retried already.
    ...(isExhausted(error) && { retryable: false }),
    // A user's function may have done anything before it threw, unless it says otherwise.
    ...(isFunction && {
      executed: isNotExecuted(error) ? ('no' as const) : ('maybe' as const),
    }),
  }
}

const NOTHING_SEEN = {
  status: undefined,
  headers: undefined,
  errorBody: undefined,
  limitCode: undefined,
}

/** Ended by the signal of the callers, when something had been sent. */
export function abortedBy(signal: AbortSignal | undefined): Failure {
  const cause: unknown = signal?.reason
  return { kind: 'aborted', retryable: false, executed: 'maybe', message: 'aborted', cause }
}

function limitReached({ ended }: Bounds, error: unknown): Failure | undefined {
  if (ended === undefined) return undefined
  return {
    kind: ended,
    retryable: ended === 'timeout',
    executed: 'maybe',
    message: ended,
    cause: error,
  }
}

/** A 200 read whole, or a complete server error: what a server that knows the key would repeat. */
function isCompleteAnswer<T>(sent: Sent<T>): boolean {
  const { status } = sent.facts
  if (sent.ok) return true
  return (
    status !== undefined && (status >= 500 || (status === 200 && sent.failure.executed === 'yes'))
  )
}
