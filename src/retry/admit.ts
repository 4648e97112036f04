import type { FailureKind } from '../errors/failure-kinds.ts'
import { DEFAULT_LIMITS } from './decide.ts'
import type { LoopPolicy, LoopRequest, LoopTarget } from './loop-contract.ts'
import type { Leave } from './send.ts'
import type { NoSlot, Slots } from './slots.ts'

/** What stands in the way of an attempt. */
export interface Refused {
  readonly kind: FailureKind
  readonly message: string
  /** Until it may be asked for again, milliseconds; 0 when nobody knows. */
  readonly waitMs: number
  readonly crowdedOut?: true
}

export type Admission = { readonly leave: Leave } | { readonly refused: Refused }

/**
 * Asks for leave to send one attempt: of the caller and the deadline, of the gate, of the
 * concurrency limit (where it may have to queue), and last of the breaker, so that nobody holds its
 * one probe while standing in a queue.
 *
 * A re-ask goes on with an exchange the target has just answered: it does not wait in the gate, and
 * a breaker that opened meanwhile does not waste that paid answer.
 */
export function admit<T>(
  request: LoopRequest<T>,
  target: LoopTarget,
  isReask: boolean,
): Admission | Promise<Admission> {
  const { slots } = target.state
  const early = notYet(request, target, isReask)
  if (early !== undefined) return { refused: early }
  if (slots === undefined) return askBreaker(request, target, isReask, undefined)
  return admitWithin(slots, request, target, isReask)
}

async function admitWithin<T>(
  slots: Slots,
  request: LoopRequest<T>,
  target: LoopTarget,
  isReask: boolean,
): Promise<Admission> {
  const latestMs = request.deadline.remainingMs() - minAttemptMs(request.policy)
  const slot = slots.tryAcquire() ?? (await slots.acquire(latestMs, request.signal))
  // While it stood in the queue the gate may have closed, or the time run out.
  const late = notYet(request, target, isReask)
  if (typeof slot === 'string') return { refused: late ?? crowdedOut(target, slots, slot) }
  const admission: Admission =
    late === undefined ? askBreaker(request, target, isReask, slot) : { refused: late }
  if ('refused' in admission) slot.release()
  return admission
}

/** The least time an attempt is worth starting with, milliseconds. */
export function minAttemptMs(policy: LoopPolicy): number {
  return policy.minAttemptMs ?? DEFAULT_LIMITS.minAttemptMs
}

function notYet<T>(
  { signal, deadline, clock, policy }: LoopRequest<T>,
  { name, state }: LoopTarget,
  isReask: boolean,
): Refused | undefined {
  if (signal?.aborted) return { kind: 'aborted', message: 'aborted', waitMs: 0 }
  if (deadline.remainingMs() < minAttemptMs(policy)) {
    const message = 'The deadline leaves no time for an attempt'
    return { kind: 'deadline', message, waitMs: 0 }
  }
  const waitMs = isReask ? 0 : state.gate.waitMs(clock.monotonicMs())
  if (waitMs === 0) return undefined
  return { kind: 'rate_limit', message: `${name} is rate limited`, waitMs }
}

function askBreaker<T>(
  { clock }: LoopRequest<T>,
  { name, state: { breaker } }: LoopTarget,
  isReask: boolean,
  slot: Leave['slot'],
): Admission {
  const permit = breaker.tryAcquire()
  if (permit !== undefined || isReask) return { leave: { permit, slot } }
  const waitMs = Math.max((breaker.retryAtMs ?? 0) - clock.monotonicMs(), 0)
  const message = `The circuit breaker of ${name} is not closed`
  return { refused: { kind: 'circuit_open', message, waitMs } }
}

function crowdedOut({ name }: LoopTarget, { inFlight, queued }: Slots, why: NoSlot): Refused {
  const message = `${name} has ${inFlight} attempts in flight and ${queued} waiting (${why})`
  return { kind: 'overloaded', message, waitMs: 0, crowdedOut: true }
}
