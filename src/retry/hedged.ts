import type { Clock } from '../time.ts'
import { DEFAULT_LIMITS, type FailedAttempt } from './decide.ts'
import type { Hedging } from './hedge.ts'
import type {
  AttemptResult,
  AttemptStep,
  LoopPolicy,
  LoopRequest,
  LoopTarget,
} from './loop-contract.ts'
import { type Leave, sendAttempt } from './send.ts'

export interface HedgedAttempt<T> {
  readonly request: LoopRequest<T>
  readonly target: LoopTarget
  readonly step: AttemptStep
  readonly leave: Leave
  /** Counts one attempt more and returns its number, or undefined when all are spent. */
  takeAttempt(): number | undefined
  /** The one that was taken was not made. */
  returnAttempt(): void
}

/**
 * A first attempt on a target with hedging. When it is slow it gets a second one beside it, but no
 * sooner than enough is known of how long others took.
 */
export async function sendWithHedge<T>(
  attempt: HedgedAttempt<T>,
  hedging: Hedging,
): Promise<AttemptResult<T>> {
  const { request, target, step, leave } = attempt
  const { clock } = request
  const startedMs = clock.monotonicMs()
  const { delayMs } = hedging
  const result =
    delayMs === undefined || !mayHedge(request.policy)
      ? await sendAttempt(request, target, step, leave)
      : await sendHedged(attempt, delayMs)
  // Of a hedged attempt too: else only the fast ones would be known, and hedges come ever sooner.
  if (result.ok) hedging.attemptSucceeded(clock.monotonicMs() - startedMs)
  return result
}

/**
 * An attempt that gets a second one beside it when it is slow. The first good answer wins and the
 * other is aborted; a failure that no repetition can mend ends both; of two that could be mended
 * the later one is the result. Settles when both have ended, so that both are in the report.
 */
async function sendHedged<T>(
  attempt: HedgedAttempt<T>,
  delayMs: number,
): Promise<AttemptResult<T>> {
  const { request, target, step, leave } = attempt
  const aside = new AbortController()
  const first = sendAttempt(request, target, { ...step, signal: aside.signal }, leave)
  const isSlow = await slowerThan(first, delayMs, request)
  const hedge = isSlow ? startHedge(attempt, delayMs) : undefined
  if (hedge === undefined) return first
  const returned = hedge.result.then((result) => {
    if (isWithheld(result)) attempt.returnAttempt()
  })
  // Whoever waits for the result itself hears of it.
  returned.catch(() => {})
  return contest({ result: first, aside }, hedge, request.clock)
}

/** One of the two, which can be ended alone. */
interface Rival<T> {
  readonly result: Promise<AttemptResult<T>>
  readonly aside: AbortController
}

/** The second attempt, if by now there may be one. */
function startHedge<T>(
  { request, target, step, leave, takeAttempt }: HedgedAttempt<T>,
  delayMs: number,
): Rival<T> | undefined {
  const { policy, deadline, signal } = request
  const { line, hedging } = target.state
  // A caller who forbids it may have joined since.
  if (hedging === undefined || !mayHedge(policy) || signal?.aborted) return undefined
  const remainingMs = deadline.remainingMs()
  const minMs = policy.minAttemptMs ?? DEFAULT_LIMITS.minAttemptMs
  if (remainingMs < minMs || remainingMs < hedging.usualMs) return undefined
  // Extra load is for a target that is well, and it never waits: its turn would come too late.
  if (!hedging.isAllowed || !line.isWell(leave.tokens)) return undefined
  const number = takeAttempt()
  if (number === undefined) return undefined
  const ticket = line.enterBeside(leave.tokens)
  hedging.spend()
  const aside = new AbortController()
  const own: AttemptStep = {
    number,
    cause: 'hedge',
    target: step.target,
    delayMs,
    signal: aside.signal,
  }
  return { result: sendAttempt(request, target, own, { ...leave, ticket }), aside }
}

// Under `onUncertain: 'fail'` nothing may be sent twice on purpose.
function mayHedge(policy: LoopPolicy): boolean {
  return policy.mayHedge === true && policy.onUncertain !== 'fail'
}

async function contest<T>(
  first: Rival<T>,
  second: Rival<T>,
  clock: Clock,
): Promise<AttemptResult<T>> {
  const [early, winner] = await Promise.race(
    [first, second].map(async (rival) => [await rival.result, rival] as const),
  )
  const other = winner === first ? second : first
  if (isWithheld(early)) return other.result
  if (!early.ok && early.failure.retryable) return afterBoth(early, other, clock)
  // Good, or bad beyond repair: either way there is nothing to wait for.
  other.aside.abort(new DOMException('the other of two hedged attempts won', 'AbortError'))
  await other.result
  return early
}

/** Not sent after all: its rival is alone, and decides. */
function isWithheld<T>(result: AttemptResult<T>): boolean {
  return !result.ok && result.withheld === true
}

/** What the other came to; where both failed, the retry obeys the hint of the earlier one as well. */
async function afterBoth<T>(
  early: FailedAttempt,
  other: Rival<T>,
  clock: Clock,
): Promise<AttemptResult<T>> {
  const { retryAfterMs } = early.failure
  const toldAtMs = clock.monotonicMs()
  const late = await other.result
  if (isWithheld(late)) return early
  if (late.ok || retryAfterMs === undefined) return late
  const otherHintMs = toldAtMs + retryAfterMs - clock.monotonicMs()
  return otherHintMs > 0 ? { ...late, otherHintMs } : late
}

/** Does the work take longer? Rejects as the work does. */
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
