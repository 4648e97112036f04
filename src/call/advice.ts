import { adviceFor, type Failure, type StopReason } from '../errors/call-error.ts'
import { FAILURE_KINDS } from '../errors/failure-kinds.ts'

/** What to do about a call that ended with this failure, for this reason. One sentence or two. */
export function adviceOn(
  failure: Failure,
  reason: StopReason,
  { attempts, deterministic }: { readonly attempts: number; readonly deterministic: boolean },
): string {
  const own = ownAdvice(failure)
  switch (reason) {
    case 'hint_exceeds_wait':
    case 'max_wait':
      return 'Raise maxWaitMs, name a fallback, or call again later.'
    case 'hopeless_wait':
      return 'Call again later, or name a fallback.'
    case 'line_full':
      return 'Send less at a time: wait for calls that are under way before starting others.'
    case 'max_requests':
      return withMore(own, 'raise maxRequests')
    case 'hint_exceeds_deadline':
      return 'Raise deadlineMs, or call again later.'
    case 'delivered':
      return failure.kind === 'timeout'
        ? 'Raise chunkIdleTimeoutMs if this model is known to pause.'
        : own
    case 'max_attempts':
      // Ten is the most that maxAttempts allows; a broken prompt needs no more.
      return attempts < MOST_ATTEMPTS && !deterministic && mayBeSentAgain(failure)
        ? withMore(own, 'raise maxAttempts')
        : own
    case 'deadline':
      return mayBeSentAgain(failure) ? withMore(own, 'raise deadlineMs') : own
    case 'max_reasks':
      return withMore(own, 'raise maxReasks')
    case 'aborted':
    case 'outcome_unknown':
    case 'not_retryable':
    case 'repeated_answer':
    case 'reask_refused':
      return own
    default:
      return reason satisfies never
  }
}

const MOST_ATTEMPTS = 10

/** True where another attempt might have been made: retried, or asked for again. */
export function mayBeSentAgain({ kind, retryable }: Failure): boolean {
  return retryable || FAILURE_KINDS[kind].retry === 'reask'
}

function ownAdvice({ kind, status, executed, advice }: Failure): string {
  if (advice !== undefined) return advice
  if (kind === 'invalid_request' && status === undefined && executed === 'no') {
    return 'It cannot be sent as it is: correct the URL, headers or fetch options behind it (see the cause).'
  }
  return adviceFor(kind)
}

/** `Do this, or that.` and more: `Do this, that, or raise maxAttempts.` */
function withMore(advice: string, more: string): string {
  return `${advice.replace(/\.$/, '').replace(', or ', ', ')}, or ${more}.`
}
