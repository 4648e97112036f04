import type { Permit } from './breaker.ts'
import { settlePermit } from './breaker.ts'
import type { AttemptResult, AttemptStep, LoopRequest, LoopTarget } from './loop-contract.ts'
import type { Slot } from './slots.ts'

/** What an attempt holds of its target while it is in flight. */
export interface Leave {
  /** The breaker's; absent for a re-ask that goes on although the breaker has opened. */
  readonly permit: Permit | undefined
  /** A place within the concurrency limit, where there is one. */
  readonly slot: Slot | undefined
}

/** Sends one attempt, tells its target how it went, and gives back what it held. */
export async function sendAttempt<T>(
  { attempt, clock, policy }: LoopRequest<T>,
  { state }: LoopTarget,
  step: AttemptStep,
  { permit, slot }: Leave,
): Promise<AttemptResult<T>> {
  const { budget, gate, hedging } = state
  const isFirst = step.cause === 'initial' || step.cause === 'fallback'
  let succeeded = false
  let streamEnded: Promise<void> | undefined
  if (isFirst) {
    budget.firstAttemptStarted()
    hedging?.attemptStarted()
  }
  try {
    const result = await attempt(step)
    succeeded = result.ok
    // What was not sent says nothing of the target.
    if (!result.ok && result.withheld === true) return result
    if (permit !== undefined) settlePermit(permit, result.ok ? undefined : result.failure)
    if (result.ok) streamEnded = result.streamEnded
    else gate.learn(result.failure, clock.monotonicMs(), policy.maxRetryAfterMs)
    return result
  } finally {
    // Only an `attempt` that broke its promise and rejected has left the permit unsettled.
    permit?.cancel()
    if (isFirst) budget.firstAttemptEnded(succeeded)
    if (slot !== undefined) release(slot, streamEnded)
  }
}

/** A stream is in flight until it has ended. */
function release(slot: Slot, streamEnded: Promise<void> | undefined): void {
  if (streamEnded === undefined) slot.release()
  else streamEnded.then(slot.release, slot.release)
}
