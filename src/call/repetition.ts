import type { Failure, StopReason } from '../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../errors/failure-kinds.ts'
import { followsGivenUp, giveUpInFlow, passFlowOn } from './call-flow.ts'
import { Fingerprints } from './fingerprints.ts'
import { type CallContext, isFunction, type Task } from './task.ts'
import { anyExhausted, rememberExhausted, warnOnce, wasExhausted } from './runtime.ts'
import type { Tell } from './events.ts'

/** Why a call is refused before anything is sent. */
export interface Refusal {
  readonly failure: Failure
  readonly reason: StopReason
}

interface Repeatable<T> {
  readonly task: Task<T>
  readonly context: CallContext
}

const MULTIPLIED: Refusal = {
  failure: {
    kind: 'multiplied_retries',
    retryable: false,
    executed: 'no',
    message: 'multiplied_retries',
    cause: undefined,
  },
  reason: 'not_retryable',
}

/** Under `'throw'`, what was multiplied without failing stops the next send. */
export function multipliedBefore(context: CallContext): Refusal | undefined {
  if (!context.multiplied) return undefined
  context.multiplied = false
  return MULTIPLIED
}

/**
 * The same request again soon after it was given up, at every target that it may go to, from the code
 * that has just seen it given up: somebody else's loop is around us. It is told, and under `'throw'`
 * refused.
 */
export function repeats<T>(
  { task, context, tell }: Repeatable<T> & { readonly tell: Tell | undefined },
  fingerprints: Fingerprints,
): Refusal | undefined {
  const { runtime, settings } = context
  if (isFunction(task.face) || !anyExhausted(runtime)) return undefined
  const { each, whole } = fingerprints
  if (whole === undefined) return undefined
  const again = (one: string) => followsGivenUp(one) && wasExhausted(runtime, one)
  if (!again(whole) && !each.every(again)) return undefined
  tell?.({ type: 'call-repeated' })
  warnOnce(
    runtime,
    'STEADYCALL_REPEATED_CALL',
    `The same request (${task.operation}) came again within a minute of being given up. ` +
      'If a retry loop around steadycall sent it, that loop multiplies attempts: remove it.',
  )
  return settings.onMultipliedRetries === 'throw' ? MULTIPLIED : undefined
}

/** Only of what `repeats` looks for, since a fingerprint costs a hash of the request. */
export function rememberGivenUp<T>(
  { task, context }: Repeatable<T>,
  { kind }: Failure,
  fingerprints: Fingerprints,
  tried: ReadonlySet<number>,
): void {
  if (isFunction(task.face) || FAILURE_KINDS[kind].retry !== 'yes') return
  // Refused here before anything was sent: asking again multiplies nothing.
  if (tried.size === 0) {
    passFlowOn()
    return
  }
  const { each, whole } = fingerprints
  const given = [whole, ...each.filter((_, target) => tried.has(target))]
  const known = given.filter((one) => one !== undefined)
  for (const one of known) rememberExhausted(context.runtime, one)
  giveUpInFlow(known)
}

/** The call that this one joined was given up: the joiner has seen that as the owner has. */
export function joinedGivenUp<T>(job: Task<T>, kind: FailureKind): void {
  if (isFunction(job.face) || FAILURE_KINDS[kind].retry !== 'yes') return
  const { each, whole } = new Fingerprints(job)
  giveUpInFlow([whole, ...each].filter((one) => one !== undefined))
}
