import type { Failure } from '../errors/call-error.ts'
import { classify } from '../errors/classify.ts'
import { parseObject } from '../errors/embedded-json.ts'
import { FailedAnswer } from '../errors/failed-answer.ts'
import { isNotExecuted } from '../errors/not-executed.ts'
import { TOO_MANY_REDIRECTS } from '../errors/unsendable-rules.ts'
import { allowancesIn } from '../openai/allowances.ts'
import { gatewayFacts } from '../openai/gateways.ts'
import { judgeUnsendable } from '../openai/unsendable.ts'
import { createWireRecord, multiplied, type WireRecord, wireRequests } from '../openai/wire.ts'
import type { ReadingPace } from '../retry/health/stream-places.ts'
import type { TargetState } from '../retry/health/target-state.ts'
import type { AttemptResult, AttemptStep } from '../retry/loop.ts'
import { type AttemptSpan, UNWATCHED_ATTEMPT } from '../telemetry/telemetry.ts'
import type { Clock, Deadline } from '../time.ts'
import { withoutUndefined } from '../without-undefined.ts'
import { attemptReport } from './attempt-report.ts'
import { type Bounds, boundAttempt } from './bounds.ts'
import { openInFlow } from './call-flow.ts'
import {
  type AnswerFacts,
  type Exchange,
  isFunction,
  type Job,
  type JobTarget,
  type Sent,
  type Tail,
} from './job.ts'
import type { CallKey, IdempotencyHeaders } from './key.ts'
import type { LateWork } from './late-work.ts'
import { isExhausted, runInScope, type Scope } from './nesting.ts'
import type { CallRecord } from './record.ts'
import { noticeTarget, targetInfo } from './target-watch.ts'

/** What all attempts of a call have in common. */
export interface AttemptRequest<T> {
  readonly job: Job<T>
  readonly key: CallKey
  readonly headers: IdempotencyHeaders
  readonly record: CallRecord
  readonly scope: Scope
  /** Takes what goes on after a limit cut it off, where that may still be kept. */
  readonly late?: LateWork<T> | undefined
  readonly clock: Clock
  readonly signal: AbortSignal | undefined
  readonly deadline: Deadline
  /** The request carries the `traceparent` of its attempt. */
  readonly propagateTraceparent: boolean
  /** Under `'throw'`, a failed attempt whose requests were multiplied fails as that. */
  readonly onMultiplied: (seen: Multiplication) => 'warn' | 'throw'
  /** Shown what came and what was sent, until an answer of the target has been; absent where a gateway is named. */
  readonly onGateway?: ((headers: Headers, sent: Headers | undefined) => void) | undefined
}

/** Requests that somebody else made of the one we asked for. */
export interface Multiplication {
  /** Seen on the wire. */
  readonly wireRequests: number
  /** Made by the gateway, where it said so. */
  readonly gatewayAttempts?: number
}

/** An attempt's result, with what the call needs of it besides. */
export type AttemptEnd<T> = AttemptResult<T> & { readonly completion?: unknown }

/**
 * One attempt: one request under one set of limits, with a span and a report of its own. Never
 * rejects: whatever the client throws comes back classified.
 */
export async function makeAttempt<T>(
  request: AttemptRequest<T>,
  step: AttemptStep,
): Promise<AttemptEnd<T>> {
  const { job, record, clock, headers } = request
  const open = openAttempt(request, step)
  const wire = createWireRecord(step.number - 1)
  const bounds = boundAttempt({
    clock,
    timeoutMs: limitMs(job),
    deadline: request.deadline,
    signal: either(request.signal, step.signal),
  })
  const exchange: Exchange = {
    number: step.number,
    cause: step.cause,
    target: step.target,
    bounds,
    wire,
    clock,
    key: request.key.text,
    // Asked for by the gateway's owner: by default nothing of a trace is sent to a provider.
    traceparent: request.propagateTraceparent ? open.span.traceparent : undefined,
    showsContent: record.span.showsContent,
    idempotencyHeader: (body) =>
      step.cause === 'hedge' ? headers.beside(body) : headers.next(body),
  }
  let sent: Sent<T>
  try {
    const frame = { scope: request.scope, wire, trace: open.span.context }
    sent = await open.span.run(() => runInScope(frame, () => job.send(exchange)))
  } catch (error) {
    if (bounds.cutOff !== undefined) request.late?.add(bounds.cutOff, exchange)
    sent = failedSend(request, exchange, error)
  }
  if (!sent.ok) sent = { ...sent, failure: judgeUnsendable(sent.failure, wire, bounds) }
  if (isCompleteAnswer(sent)) headers.answered()
  if (request.onGateway !== undefined) lookForGateway(request, request.onGateway, sent, exchange)
  const said = saidOfLimits(request, exchange)
  const settled = withMultiplication(sent, wire, request)
  if (settled.ok && settled.onTail !== undefined) {
    const ended = keepOpen(settled.onTail, { open, wire, step }, request)
    const { value, pace = NEVER_IDLE } = settled
    return { ok: true, value, stream: { ended, pace }, ...said }
  }
  bounds.dispose()
  open.end(settled.ok ? 'success' : settled.failure, settled.facts, wire)
  if (!settled.ok) {
    const { failure, reask, completion } = settled
    return withoutUndefined({ ok: false as const, failure, reask, completion, ...said })
  }
  record.answered(settled.facts)
  const tokens = tokensOf(job, step.target, settled.facts)
  return { ok: true, value: settled.value, ...(tokens !== undefined && { tokens }), ...said }
}

/** The limits that the answer's headers report. */
function saidOfLimits<T>(
  { job, clock }: AttemptRequest<T>,
  { target, wire }: Exchange,
): Pick<AttemptEnd<T>, 'allowances'> | undefined {
  const state = job.targets[target]?.state
  const allowances = state && allowancesIn(state, wire, clock)
  return allowances && { allowances }
}

/** An attempt whose sender threw. */
function failedSend<T>({ job }: AttemptRequest<T>, exchange: Exchange, error: unknown): Sent<T> {
  const failure = classifyThrown(error, exchange, job.face)
  return {
    ok: false,
    failure: job.judge?.(failure, exchange) ?? failure,
    facts: thrownFacts(job.targets, exchange),
  }
}

// Targets of which a good answer has been looked at: what is in front of them does not change.
const lookedAt = new WeakSet<TargetState>()

/** A failure may be that of something in front of the gateway, and is looked at each time. */
function lookForGateway<T>(
  { job }: AttemptRequest<T>,
  onGateway: NonNullable<AttemptRequest<T>['onGateway']>,
  { ok }: Sent<T>,
  { target, wire: { headers, sent } }: Exchange,
): void {
  const state = job.targets[target]?.state
  if (headers === undefined || state === undefined || lookedAt.has(state)) return
  if (ok) lookedAt.add(state)
  onGateway(headers, sent)
}

/** A released stream: span and report of its attempt wait for its end. */
function keepOpen<T>(
  onTail: (listener: (tail: Tail) => void) => void,
  { open, wire, step }: { open: OpenAttempt; wire: WireRecord; step: AttemptStep },
  { job, record, onMultiplied }: AttemptRequest<T>,
): Promise<number | undefined> {
  record.streaming = true
  const close = openInFlow(job.targets[step.target]?.state.line)
  record.firstChunkMs ??= record.elapsedMs
  return new Promise((resolve) => {
    onTail(({ failure: cut, facts }) => {
      // A stream tells only now; it was paid for, so nothing is thrown.
      if (facts.gatewayMultiplied) tellMultiplied(facts, wire, onMultiplied)
      open.end(cut ?? 'success', facts, wire)
      // One that was released in the very moment its rival won is not what the caller reads.
      if (step.signal?.aborted !== true) {
        record.answered(facts)
        record.streamEnd.tell(cut)
      }
      close()
      resolve(tokensOf(job, step.target, facts))
    })
  })
}

const NEVER_IDLE: ReadingPace = { idleForMs: () => 0 }

function tokensOf<T>(
  { tokens }: Job<T>,
  target: number,
  { usage }: AnswerFacts,
): number | undefined {
  return usage && tokens?.used(target, usage)
}

function either(a: AbortSignal | undefined, b: AbortSignal | undefined): AbortSignal | undefined {
  return a === undefined || b === undefined ? (a ?? b) : AbortSignal.any([a, b])
}

/** Streams wait for their first content; all else for the whole answer. */
function limitMs<T>({ options, telemetry }: Job<T>): number {
  return telemetry?.stream === true ? options.firstChunkTimeoutMs : options.attemptTimeoutMs
}

interface OpenAttempt {
  readonly span: AttemptSpan
  end(outcome: 'success' | Failure, facts: AnswerFacts, wire: WireRecord): void
}

/** Starts the attempt's span, tells of it, and ends both with its report. */
function openAttempt<T>({ job, record, clock }: AttemptRequest<T>, step: AttemptStep): OpenAttempt {
  const target = job.targets[step.target]
  const name = target?.name ?? job.name
  if (target !== undefined) noticeTarget(record, target)
  const startedAtMs = clock.wallMs()
  const startedMs = clock.monotonicMs()
  record.attemptStarted()
  const span = showStart(record, step, target, name)
  return {
    span,
    end(outcome, facts, wire) {
      const report = attemptReport({
        step,
        target: name,
        failure: outcome === 'success' ? undefined : outcome,
        facts,
        wireRequests: isFunction(job.face) ? undefined : wireRequests(wire),
        startedAtMs,
        durationMs: clock.monotonicMs() - startedMs,
      })
      span.end(report, { firstChunkMs: facts.firstChunkMs, chunks: facts.chunks })
      record.attemptEnded(report)
    },
  }
}

/** Tells of the attempt, and opens its span; makes neither where nobody reads. */
function showStart(
  { tell, span }: CallRecord,
  { number, cause, delayMs, delaySource, waits }: AttemptStep,
  target: JobTarget | undefined,
  name: string,
): AttemptSpan {
  if (tell === undefined) return UNWATCHED_ATTEMPT
  tell({ type: 'attempt-started', number, cause, target: name, delayMs })
  const isProbe = target?.state.line.isDown === true
  const info = targetInfo(target)
  return span.startAttempt({ number, cause, delayMs, delaySource, waits, isProbe, ...info })
}

/** What the client threw, or the limit that made it throw. */
export function classifyThrown(
  error: unknown,
  { bounds, wire, clock }: Pick<Exchange, 'bounds' | 'wire' | 'clock'>,
  face: Job<unknown>['face'],
): Failure {
  const limit = limitReached(bounds, error)
  if (limit !== undefined) return limit
  if (error instanceof FailedAnswer) return error.failure
  const { status, headers, errorBody: body } = wire
  const found = classify(error, { status, headers, body, now: clock.wallMs() })
  return {
    ...found,
    message: found.kind,
    cause: error,
    // The innermost steadycall layer has the hints, and has retried already.
    ...(isExhausted(error) && { retryable: false }),
    // A user's function may have done anything before it threw, unless it says otherwise.
    ...(isFunction(face) && {
      executed: isNotExecuted(error) ? ('no' as const) : ('maybe' as const),
    }),
  }
}

/** Ended by the signal of whoever wanted it, when something had been sent. */
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

/** Somebody below us retries: it is told, and thrown where that was asked for. Never a paid success. */
function withMultiplication<T>(
  sent: Sent<T>,
  wire: WireRecord,
  { onMultiplied, job }: AttemptRequest<T>,
): Sent<T> {
  // A user's function may send any number of requests: they are no multiplication.
  if (isFunction(job.face)) return sent
  if (!multiplied(wire) && !sent.facts.gatewayMultiplied) return sent
  // Redirected in a circle: nobody retried.
  if (!sent.ok && sent.failure.code === TOO_MANY_REDIRECTS) return sent
  const reaction = tellMultiplied(sent.facts, wire, onMultiplied)
  if (sent.ok || reaction === 'warn') return sent
  const { failure } = sent
  return { ...sent, failure: { ...failure, kind: 'multiplied_retries', retryable: false } }
}

function tellMultiplied<T>(
  { gatewayAttempts, gatewayMultiplied }: AnswerFacts,
  wire: WireRecord,
  tell: AttemptRequest<T>['onMultiplied'],
): 'warn' | 'throw' {
  return tell({
    wireRequests: wireRequests(wire) ?? 1,
    ...(gatewayMultiplied && gatewayAttempts !== undefined && { gatewayAttempts }),
  })
}

/** The facts of an answer that openai threw: its status, and what the gateway said with it. */
export function thrownFacts(
  targets: Job<unknown>['targets'],
  { target, wire }: Exchange,
): AnswerFacts {
  const { status, headers, sent, errorBody = '' } = wire
  const gateway = targets[target]?.gateway
  if (gateway === undefined) return withoutUndefined({ status })
  return withoutUndefined({
    status,
    ...gatewayFacts(gateway, { headers, sent, body: parseObject(errorBody) }),
  })
}
