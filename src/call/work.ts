import { type Failure, isCallError } from '../errors/call-error.ts'
import type { Sending, WorkOutcome } from '../idempotency/once.ts'
import { noticeGateway } from '../openai/gateway-notice.ts'
import type { SteadyOptions } from '../options/options.ts'
import type { Closing } from '../retry/closing.ts'
import { type AttemptStep, runAttempts, type VerdictEvent } from '../retry/loop.ts'
import { closedFailure } from '../retry/stop-failure.ts'
import type { Deadline } from '../time.ts'
import {
  type AttemptEnd,
  type AttemptRequest,
  type Multiplication,
  makeAttempt,
} from './attempt.ts'
import { isWithinOpenStream, isWithinOpenStreamOf, passFlowOn } from './call-flow.ts'
import { CallPolicy } from './call-policy.ts'
import type { EngineEvent } from './events.ts'
import { Fingerprints } from './fingerprints.ts'
import { type GivenUp, giveUp } from './give-up.ts'
import type { Job, JobTarget } from './job.ts'
import { type CallKey, IdempotencyHeaders } from './key.ts'
import { LateWork } from './late-work.ts'
import { createScope, currentScope, type Scope } from './nesting.ts'
import { OuterUse } from './outer-use.ts'
import type { CallRecord } from './record.ts'
import { multipliedBefore, noticeRepetition, rememberGivenUp } from './repetition.ts'
import { type Runtime, warnOnce } from './runtime.ts'
import { noticeLongHint, noticeTarget, targetInfo } from './target-watch.ts'

/** What one wrapped client gives to each of its calls. */
export interface CallContext {
  readonly runtime: Runtime
  readonly settings: SteadyOptions
  /** Requests were multiplied under `'throw'`: the next send fails instead. */
  multiplied: boolean
  /** Absent where there is no client to be closed. */
  readonly closing?: Closing
}

export interface WorkRequest<T> {
  readonly job: Job<T>
  readonly context: CallContext
  readonly key: CallKey
  readonly record: CallRecord
  /** Whose signal and deadline bind the work: the caller's, or those of all who joined. */
  readonly flight: {
    readonly signal: AbortSignal | undefined
    readonly deadline: Deadline
    readonly onUncertain: 'rerun' | 'fail'
    /** Awaited before each send; rejects when the claim is lost. */
    dispatch?(sending: Sending): Promise<void>
  }
}

/**
 * The work of one call: its attempts, as the retry loop asks for them, within what an outer call
 * leaves it; and in the end what may be kept under the key.
 */
export async function runWork<T>(request: WorkRequest<T>): Promise<WorkOutcome<T>> {
  const { job, context, record, flight } = request
  const { runtime } = context
  const around = currentScope()
  const fingerprints = new Fingerprints(job)
  const outer = new OuterUse(around, fingerprints, job.options)
  const { spent } = outer
  const refusal =
    (spent && { failure: spent, reason: 'max_attempts' as const }) ??
    multipliedBefore(context) ??
    noticeRepetition(request, fingerprints)
  if (refusal !== undefined) {
    passFlowOn()
    return giveUp(request, { ...refusal, requests: 0, waitedMs: 0, deterministic: false })
  }
  const scope = createScope(flight.deadline, around)
  const late = flight.dispatch && job.late && new LateWork(job)
  const shared = attemptsOf(request, scope, late)
  let completion: unknown
  const answered = new WeakMap<Failure, unknown>()
  let failedAt: Set<number> | undefined
  const policy = new CallPolicy(job, record, outer, flight, {
    isNested: around !== undefined || isWithinOpenStream(),
    holdsPlaceIn: (line) => around?.isInFlight(line) === true || isWithinOpenStreamOf(line),
  })
  let last: Failure | undefined
  let stopped: VerdictEvent | undefined
  const attempt = async (step: AttemptStep): Promise<AttemptEnd<T>> => {
    if (flight.dispatch !== undefined) {
      const again = step.cause === 'hedge' || policy.mayHaveRun
      const withheld = await whyWithheld(request, { again, signal: step.signal }, last)
      if (withheld !== undefined) return { ok: false, withheld: true, failure: withheld }
    }
    scope.enter(lineOf(job, step))
    const end = await makeAttempt(shared, step)
    scope.leave()
    // The loser of two hedged attempts says nothing about the request.
    if (step.signal?.aborted === true) return end
    if (end.ok) outer.succeeded(step.target)
    else {
      outer.failed(step.target, end.failure)
      failedAt = (failedAt ?? new Set()).add(step.target)
      last = end.failure
      completion = end.completion
      if (end.completion !== undefined) answered.set(end.failure, end.completion)
    }
    return end
  }
  const outcome = await runAttempts({
    policy,
    clock: runtime.clock,
    random: runtime.random,
    signal: flight.signal,
    deadline: flight.deadline,
    closing: context.closing,
    targets: job.targets,
    spentAt: (target) => outer.spentAt(target),
    tokens: job.tokens,
    attempt,
    onVerdict(event) {
      if (event.verdict.verdict === 'stop') stopped = event
      tellVerdict(request, event)
    },
  })
  scope.settled = true
  if (outcome.ok) return outcome
  rememberGivenUp(request, outcome.failure, fingerprints, failedAt ?? new Set())
  if (stopped !== undefined) tellStopped(record, job, stopped, outcome)
  if (outcome.refused !== undefined) completion = answered.get(outcome.refused.answer)
  return giveUp(request, outcome, { completion, late: late?.end(policy.doubts) })
}

function lineOf<T>({ targets }: Job<T>, step: AttemptStep): object {
  return (targets[step.target] ?? targets[0]).state.line
}

/** Undefined: it may be sent. Else what it was not sent for; `last` is the failure before it. */
async function whyWithheld<T>(
  { flight, context }: WorkRequest<T>,
  sending: Sending,
  last: Failure | undefined,
): Promise<Failure | undefined> {
  const unsent = { retryable: false, executed: 'no' } as const
  try {
    await flight.dispatch?.(sending)
  } catch (error) {
    const kind = isCallError(error) ? error.kind : 'store_unavailable'
    return { ...unsent, kind, message: kind, cause: error }
  }
  if (context.closing?.isClosed) return closedFailure(last)
  // Somebody has forbidden it since it was planned, here or in another process.
  if (sending.again !== true || flight.onUncertain === 'rerun') return undefined
  return last ?? { ...unsent, kind: 'outcome_unknown', message: 'forbidden', cause: undefined }
}

/** What all attempts of the call have in common, and what one may set off in its call. */
function attemptsOf<T>(
  { job, key, context, record, flight }: WorkRequest<T>,
  scope: Scope,
  late: LateWork<T> | undefined,
): AttemptRequest<T> {
  const { runtime, settings } = context
  return {
    job,
    key,
    record,
    scope,
    late,
    headers: new IdempotencyHeaders(key),
    clock: runtime.clock,
    signal: flight.signal,
    deadline: flight.deadline,
    propagateTraceparent: settings.telemetry?.propagateTraceparent === true,
    onGateway:
      settings.gateway === undefined
        ? (headers, sent) => noticeGateway(runtime, headers, sent)
        : undefined,
    onMultiplied(seen: Multiplication): 'warn' | 'throw' {
      const reaction = settings.onMultipliedRetries ?? 'warn'
      record.tell?.({ type: 'retries-multiplied', ...seen })
      if (reaction === 'throw') context.multiplied = true
      warnOnce(runtime, 'STEADYCALL_MULTIPLIED_RETRIES', multiplicationWarning(seen))
      return reaction
    },
  }
}

function multiplicationWarning({ wireRequests, gatewayAttempts = 1 }: Multiplication): string {
  if (gatewayAttempts > 1) {
    return (
      `The gateway made ${gatewayAttempts} attempts for one request: it retries or falls back too. ` +
      'Switch that off in its own configuration.'
    )
  }
  const seen =
    wireRequests > 1
      ? `One attempt sent ${wireRequests} HTTP requests`
      : 'A request of ours went out with another retry count'
  return `${seen}: something below steadycall retries too. Switch its retries off.`
}

function tellVerdict<T>(
  { record, job: { targets }, context: { runtime } }: WorkRequest<T>,
  judged: VerdictEvent,
): void {
  const { target: index, failure } = judged
  const target = targets[index] ?? targets[0]
  noticeTarget(record, target)
  // Accepted: the attempt's own report says so.
  if (failure === undefined) return
  noticeLongHint(runtime, target, failure)
  if (record.tell === undefined) return
  const event = eventOf(judged, failure, target, targets)
  if (event !== undefined) record.tell(event)
}

function eventOf(
  { verdict, requests: number }: VerdictEvent,
  { kind, issues = [] }: Failure,
  { name }: JobTarget,
  targets: readonly JobTarget[],
): EngineEvent | undefined {
  switch (verdict.verdict) {
    case 'retry': {
      const { delayMs, delaySource } = verdict
      return { type: 'retry-scheduled', number, kind, delayMs, delaySource }
    }
    case 'wait': {
      const { by, expectedMs, ahead } = verdict.held
      const known = expectedMs !== Infinity && { expectedMs }
      return { type: 'wait-started', target: name, for: by, ahead, ...known }
    }
    case 'reask':
      return { type: 'reask-sent', number, kind, traced: { issueCount: issues.length } }
    case 'fallback': {
      const target = targets[verdict.target]?.name ?? ''
      return { type: 'fallback-selected', number, kind, target, traced: { from: name } }
    }
    case 'accept':
    // Told when it is known how long the call has waited.
    case 'stop':
      return undefined
  }
}

/** No attempt follows what was judged; the call may have waited for one in vain. */
function tellStopped<T>(
  { tell }: CallRecord,
  { targets }: Pick<Job<T>, 'targets'>,
  { requests: number, target: index, failure }: VerdictEvent,
  { reason, heldBy, waits }: GivenUp,
): void {
  if (tell === undefined || failure === undefined) return
  const { kind } = failure
  const traced = { target: targetInfo(targets[index]), heldBy }
  tell({ type: 'call-stopped', number, reason, kind, ...(waits && { waits }), traced })
}
