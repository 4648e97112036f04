import type { Clock } from '../time.ts'
import { type Permit, reportEnd, sendUnlessClosed } from './admit.ts'
import { DEFAULT_LIMITS, type StepFailure } from './decide.ts'
import type { Hedging } from './hedge.ts'
import type {
  AttemptStep,
  LoopPolicy,
  LoopRequest,
  LoopTarget,
  StepResult,
} from './loop-contract.ts'

/** Sends one attempt, reports to the line how it ended, and gives its place back. */
export async function sendAttempt<T>(
  request: LoopRequest<T>,
  { state }: LoopTarget,
  step: AttemptStep,
  permit: Permit,
): Promise<StepResult<T>> {
  const { clock } = request
  const { line, hedging } = state
  if (step.cause === 'initial' || step.cause === 'fallback') hedging?.attemptStarted()
  const sentAtMs = clock.monotonicMs()
  let result: StepResult<T> | undefined
  try {
    result = await sendUnlessClosed(request, step)
    return result
  } finally {
    reportEnd(line, permit, { result, sentAtMs, isAborted: step.signal?.aborted === true })
  }
}

export interface HedgedStep<T> {
  readonly request: LoopRequest<T>
  readonly target: LoopTarget
  readonly step: AttemptStep
  readonly permit: Permit
  /** Counts one more attempt and returns its number; undefined if none are left. */
  takeAttempt(): number | undefined
  /** Undoes `takeAttempt` for an attempt that was not made. */
  returnAttempt(): void
}

/**
 * Sends a first attempt to a target with hedging. If it is slow, a second one is sent in parallel, once enough
 * durations are known.
 */
export async function sendWithHedge<T>(
  attempt: HedgedStep<T>,
  hedging: Hedging,
): Promise<StepResult<T>> {
  const { request, target, step, permit } = attempt
  const { clock } = request
  const startedMs = clock.monotonicMs()
  const { delayMs } = hedging
  const result =
    delayMs === undefined || !mayHedge(request.policy)
      ? await sendAttempt(request, target, step, permit)
      : await sendHedged(attempt, delayMs)
  // Includes hedged attempts. Otherwise only fast ones would be recorded, and hedges would come ever sooner.
  if (result.ok) hedging.attemptSucceeded(clock.monotonicMs() - startedMs)
  return result
}

/**
 * Sends an attempt, and a second one in parallel if it is slow. The first good answer wins and the other
 * attempt is aborted. A failure that cannot be retried ends both. If both failures can be retried, the later
 * one is the result. Resolves when both have ended, so that both are in the report.
 */
async function sendHedged<T>(attempt: HedgedStep<T>, delayMs: number): Promise<StepResult<T>> {
  const { request, target, step, permit } = attempt
  const aside = new AbortController()
  const first = sendAttempt(request, target, { ...step, signal: aside.signal }, permit)
  const isSlow = await slowerThan(first, delayMs, request)
  const hedge = isSlow ? startHedge(attempt, delayMs) : undefined
  if (hedge === undefined) return first
  const returned = hedge.result.then((result) => {
    if (isWithheld(result)) attempt.returnAttempt()
  })
  // Its rejection is handled by the code that waits for `hedge.result` itself.
  returned.catch(() => {})
  return contest({ result: first, aside }, hedge, request.clock)
}

/** One of two parallel attempts, which can be aborted by itself. */
interface Rival<T> {
  readonly result: Promise<StepResult<T>>
  readonly aside: AbortController
}

/** Sends the second attempt, if it is allowed by now. */
function startHedge<T>(
  { request, target, step, permit, takeAttempt }: HedgedStep<T>,
  delayMs: number,
): Rival<T> | undefined {
  const { policy, deadline, signal } = request
  const { line, hedging } = target.state
  // Checked again, because a joiner with a stricter policy may have arrived meanwhile.
  if (hedging === undefined || !mayHedge(policy) || signal?.aborted) return undefined
  const remainingMs = deadline.remainingMs()
  const minMs = policy.minAttemptMs ?? DEFAULT_LIMITS.minAttemptMs
  if (remainingMs < minMs || remainingMs < hedging.usualMs) return undefined
  // Extra load is only for a healthy target. A hedge never waits, because its turn would come too late.
  if (!hedging.isAllowed || !line.isWell(permit.tokens)) return undefined
  const number = takeAttempt()
  if (number === undefined) return undefined
  const ticket = line.enterBeside(permit.tokens)
  hedging.spend()
  const aside = new AbortController()
  const own: AttemptStep = {
    number,
    cause: 'hedge',
    target: step.target,
    delayMs,
    signal: aside.signal,
  }
  return { result: sendAttempt(request, target, own, { ...permit, ticket }), aside }
}

// Under `onUncertain: 'fail'` nothing may be sent twice on purpose.
function mayHedge(policy: LoopPolicy): boolean {
  return policy.mayHedge === true && policy.onUncertain !== 'fail'
}

async function contest<T>(first: Rival<T>, second: Rival<T>, clock: Clock): Promise<StepResult<T>> {
  const [early, winner] = await Promise.race(
    [first, second].map(async (rival) => [await rival.result, rival] as const),
  )
  const other = winner === first ? second : first
  if (isWithheld(early)) return other.result
  if (!early.ok && early.failure.retryable) return afterBoth(early, other, clock)
  // A success, or a failure that cannot be retried: no need to wait for the other.
  other.aside.abort(new DOMException('the other of two hedged attempts won', 'AbortError'))
  await other.result
  return early
}

/** Whether it was not sent after all; then the other attempt alone decides. */
function isWithheld<T>(result: StepResult<T>): boolean {
  return !result.ok && result.withheld === true
}

/** The result of the other attempt. If both failed, the retry also obeys the hint of the earlier one. */
async function afterBoth<T>(
  early: StepFailure,
  other: Rival<T>,
  clock: Clock,
): Promise<StepResult<T>> {
  const { retryAfterMs } = early.failure
  const toldAtMs = clock.monotonicMs()
  const late = await other.result
  if (isWithheld(late)) return early
  if (late.ok || retryAfterMs === undefined) return late
  const otherHintMs = toldAtMs + retryAfterMs - clock.monotonicMs()
  return otherHintMs > 0 ? { ...late, otherHintMs } : late
}

/** Whether the work takes longer than `delayMs`. Rejects if the work rejects first. */
function slowerThan(
  work: Promise<unknown>,
  delayMs: number,
  { clock }: LoopRequest<unknown>,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const cancel = clock.schedule(delayMs, () => resolve(true))
    work.finally(cancel).then(() => resolve(false), reject)
  })
}
