import type { Failure, StopReason } from '../errors/call-error.ts'
import { FAILURE_KINDS } from '../errors/failure-kinds.ts'
import { isFunction } from './job.ts'
import { fingerprintIfAny } from './keys.ts'
import { anyExhausted, rememberExhausted, warnOnce, wasExhausted } from './runtime.ts'
import type { CallContext, WorkRequest } from './work.ts'

/** Why a call is refused before anything is sent. */
export interface Refusal {
  readonly failure: Failure
  readonly reason: StopReason
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
 * The same request again soon after it was given up: somebody else's loop is around us. It is told,
 * and under `'throw'` refused.
 */
export function noticeRepetition<T>(
  { job, context, record }: WorkRequest<T>,
  known: string | undefined,
): Refusal | undefined {
  const { runtime, settings } = context
  if (isFunction(job.face) || !anyExhausted(runtime)) return undefined
  const fingerprint = known ?? fingerprintIfAny(job)
  if (fingerprint === undefined || !wasExhausted(runtime, fingerprint)) return undefined
  record.tell({ type: 'call-repeated' })
  record.span.callRepeated()
  warnOnce(
    runtime,
    'STEADYCALL_REPEATED_CALL',
    `The same request (${job.operation}) came again within a minute of being given up. ` +
      'If a retry loop around steadycall sent it, that loop multiplies attempts: remove it.',
  )
  return settings.onMultipliedRetries === 'throw' ? MULTIPLIED : undefined
}

/** Only of what `noticeRepetition` looks for, since a fingerprint costs a hash of the request. */
export function rememberGivenUp<T>(
  { job, context, record }: WorkRequest<T>,
  { kind }: Failure,
  known: string | undefined,
): void {
  if (isFunction(job.face) || FAILURE_KINDS[kind].retry !== 'yes') return
  // Refused here before anything was sent: asking again multiplies nothing.
  if (record.attempts.length === 0) return
  const fingerprint = known ?? fingerprintIfAny(job)
  if (fingerprint !== undefined) rememberExhausted(context.runtime, fingerprint)
}
