import pRetry from 'p-retry'
import type { StepFailure } from './decide.ts'
import type { LoopOutcome, LoopRequest } from './loop-contract.ts'
import { Run } from './run.ts'

export type { HeldBy } from './health/waiting.ts'
export type {
  AttemptStep,
  LoopOutcome,
  LoopPolicy,
  LoopRequest,
  LoopTarget,
  StepResult,
  VerdictEvent,
} from './loop-contract.ts'

/**
 * Makes the attempts of one call, one after the other, until `decide` accepts or stops.
 *
 * It owns the counters: whatever the causes of attempts, a model works on at most `maxAttempts` of them, and
 * at most `maxRequests` requests are sent. Every wait ends at once when the signal aborts, and no wait starts
 * that could not end before the deadline. Failures of attempts are returned, never thrown; it rejects only if
 * `attempt` or `onVerdict` throws, which they must not.
 */
export async function runAttempts<T>(request: LoopRequest<T>): Promise<LoopOutcome<T>> {
  const run = new Run(request)
  try {
    // If nothing is in its way, the first attempt is sent synchronously.
    const held = run.start()
    if (held !== undefined && !(await goesOn(run, held))) return run.stopped
    const first = run.noteEnd(await run.send())
    if (first.ok) return { ok: true, value: first.value, requests: run.requests }
    return (await goesOn(run, first)) ? await retries(run) : run.stopped
  } finally {
    run.leave()
  }
}

/**
 * Everything after the first attempt, driven by p-retry; most calls never come here. p-retry has no limit of
 * its own: `decide` keeps the only counter, and its limit may change during the call.
 */
async function retries<T>(run: Run<T>): Promise<LoopOutcome<T>> {
  try {
    const value = await pRetry(() => sendOrThrow(run), {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 0,
      shouldRetry: ({ error }) => error instanceof StepFailed && goesOn(run, error.result),
    })
    return { ok: true, value, requests: run.requests }
  } catch (error) {
    if (error instanceof StepFailed) return run.stopped
    throw error
  }
}

/**
 * Asks `decide` about a failure, carries out the verdict, and asks again about whatever then holds the next
 * attempt. Returns true if that attempt may be sent, false if the call is over.
 */
async function goesOn<T>(run: Run<T>, failed: StepFailure): Promise<boolean> {
  let judged: StepFailure | undefined = failed
  while (judged !== undefined) {
    const verdict = run.decide(judged)
    run.tell(verdict, judged.failure)
    if (verdict.verdict === 'accept') return false
    if (verdict.verdict === 'stop') {
      run.stop(verdict.reason, judged)
      return false
    }
    judged = (await run.obey(verdict, judged)) ?? run.admit()
  }
  return true
}

/** Adapts `send` to p-retry, which expects failures to be thrown. */
async function sendOrThrow<T>(run: Run<T>): Promise<T> {
  const result = run.noteEnd(await run.send())
  if (result.ok) return result.value
  throw new StepFailed(result)
}

/**
 * Wraps every failed attempt for p-retry, which takes a plain TypeError for a bug in the operation and does
 * not retry it.
 */
class StepFailed extends Error {
  readonly result: StepFailure

  constructor(result: StepFailure) {
    super('attempt failed')
    this.result = result
  }
}
