import pRetry from 'p-retry'
import { AttemptFailed } from './attempt-failed.ts'
import type { LoopOutcome, LoopRequest } from './loop-contract.ts'
import { Run } from './run.ts'

export type { HeldBy } from './health/waiting.ts'
export type {
  AttemptResult,
  AttemptStep,
  LoopOutcome,
  LoopPolicy,
  LoopRequest,
  LoopTarget,
  VerdictEvent,
} from './loop-contract.ts'

/**
 * Makes the attempts of one logical call, one after the other, until `decide` accepts or stops.
 *
 * It owns the counters: whatever causes an attempt, a model works on at most `maxAttempts` of them, and
 * at most `maxRequests` requests are sent. Every wait ends at once when the signal aborts, and none
 * begins that could not end before the deadline. Failures of attempts are returned, never thrown; it
 * rejects only when `attempt` or `onVerdict` breaks its promise not to.
 */
export async function runAttempts<T>(request: LoopRequest<T>): Promise<LoopOutcome<T>> {
  const run = new Run(request)
  // Where nothing is in its way, the first attempt is sent before anybody gets another turn.
  const maySend = run.mayStart(undefined)
  if (!(typeof maySend === 'boolean' ? maySend : await maySend)) return run.stopped()
  const first = await run.attempt()
  if (first.ok) return { ok: true, value: first.value, attempts: run.attempts }
  // Most calls end here, and pay for no loop.
  if (!(await run.mayStart(first))) return run.stopped()
  try {
    const value = await pRetry(() => attemptOrThrow(run), {
      // decide() has the one counter, and its limit may move while the call runs.
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 0,
      shouldRetry: ({ error }) => error instanceof AttemptFailed && run.mayStart(error.result),
    })
    return { ok: true, value, attempts: run.attempts }
  } catch (error) {
    if (error instanceof AttemptFailed) return run.stopped()
    throw error
  }
}

/** p-retry wants failures thrown. */
async function attemptOrThrow<T>(run: Run<T>): Promise<T> {
  const result = await run.attempt()
  if (result.ok) return result.value
  throw new AttemptFailed(result)
}
