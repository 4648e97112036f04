import type { Failure, StopReason } from '../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../errors/failure-kinds.ts'

/**
 * The failure a call ends with when its last attempt's was `failure` and `reason` stopped it: what
 * the attempt met, which is what there is to mend, also where our budget or breaker refused another.
 */
export function stopFailure(
  reason: StopReason,
  failure: Failure,
  facts: { readonly hintMs: number },
): Failure {
  if (reason === 'hint_exceeds_max' || reason === 'hint_exceeds_deadline') {
    // The hint may be another call's, kept by the gate.
    return { ...failure, retryAfterMs: facts.hintMs }
  }
  // An answer that came ('yes') has a known outcome, even if it is a bad one.
  if (reason === 'outcome_unknown' && failure.executed === 'maybe') {
    return { ...failure, ...ownFailure('outcome_unknown', failure.message, failure) }
  }
  return failure
}

/** The caller aborted, and gave `cause` as the reason. */
export function abortedFailure(last: Failure | undefined, cause: unknown): Failure {
  return { ...ownFailure('aborted', 'The caller aborted the call', last), cause }
}

/** A failure decided here, whose cause is what was caught last. */
export function ownFailure(kind: FailureKind, message: string, last: Failure | undefined): Failure {
  return {
    kind,
    retryable: FAILURE_KINDS[kind].retry === 'yes',
    executed: last?.executed ?? 'no',
    message,
    cause: last?.cause,
  }
}
