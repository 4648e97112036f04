import type { FailedAttempt } from './decide.ts'
import type { Line } from './health/line.ts'
import type { End } from './health/line-contract.ts'
import { signOf } from './health/signs.ts'
import type { Ticket } from './health/waiting.ts'
import type {
  AttemptResult,
  AttemptStep,
  GoingOn,
  LoopRequest,
  LoopTarget,
} from './loop-contract.ts'
import { closedFailure } from './stop-failure.ts'

/** Permission to send one attempt, granted by the target's line. */
export interface Permit {
  readonly ticket: Ticket
  /** Whether it repeats an attempt that may have been executed. */
  readonly paying: boolean
  /** Estimated tokens; 0 if tokens are not counted. */
  readonly tokens: number
}

/** Sends one attempt, reports to the line how it ended, and gives its place back. */
export async function sendAttempt<T>(
  request: LoopRequest<T>,
  { state }: LoopTarget,
  step: AttemptStep,
  permit: Permit,
): Promise<AttemptResult<T>> {
  const { clock } = request
  const { line, hedging } = state
  if (step.cause === 'initial' || step.cause === 'fallback') hedging?.attemptStarted()
  const sentAtMs = clock.monotonicMs()
  let result: AttemptResult<T> | undefined
  try {
    result = await unlessClosed(request, step)
    return result
  } finally {
    try {
      // May throw, because the line may call the user's `random`.
      line.ended(endOf(result, permit, sentAtMs, step.signal?.aborted === true))
    } finally {
      giveBack(line, result, permit.tokens)
    }
  }
}

/** Checks again whether the client was closed after the line granted permission. */
function unlessClosed<T>(
  request: LoopRequest<T>,
  step: AttemptStep,
): Promise<AttemptResult<T>> | FailedAttempt {
  if (!request.closing?.isClosed) return request.attempt(step)
  return { ok: false, withheld: true, failure: closedFailure() }
}

/** How the attempt ended. There is no result only if `attempt` rejected, which it must not. */
function endOf<T>(
  result: AttemptResult<T> | undefined,
  { ticket, paying }: Permit,
  sentAtMs: number,
  isAborted: boolean,
): End {
  const failure = result?.ok === false ? result.failure : undefined
  const unsent = result?.ok === false && result.withheld === true
  const isLost = result === undefined || unsent || isAborted
  return {
    ticket,
    sentAtMs,
    sign: isLost ? 'nothing' : failure === undefined ? 'success' : signOf(failure),
    hintMs: failure?.retryAfterMs ?? 0,
    paid: paying,
    unsent,
    seen: failure && { kind: failure.kind, status: failure.status },
    tokens: result?.ok === true ? result.tokens : undefined,
    allowances: result?.allowances,
  }
}

function giveBack<T>(line: Line, result: AttemptResult<T> | undefined, thought: number): void {
  const used = tokensBeyond(thought, result)
  if (result?.ok === true && result.stream !== undefined) keepPlace(line, result.stream, thought)
  else line.left(used)
}

/** A stream keeps its place until it ends or its reader is idle. */
function keepPlace(line: Line, { ended, pace }: GoingOn, thought: number): void {
  let used = thought
  const leave = line.streams(pace, () => (thought === 0 ? 0 : used - thought))
  void ended.then((tokens = thought) => {
    used = tokens
    leave()
  })
}

/** Tokens used beyond the estimate; negative if fewer were used. */
function tokensBeyond<T>(thought: number, result: AttemptResult<T> | undefined): number {
  if (thought === 0 || result === undefined) return 0
  if (result.ok) return result.tokens === undefined ? 0 : result.tokens - thought
  return result.withheld === true || result.failure.executed === 'no' ? -thought : 0
}
