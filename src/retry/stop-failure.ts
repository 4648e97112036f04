import type { Failure, StopReason } from '../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../errors/failure-kinds.ts'
import { ClientClosed } from './closing.ts'
import type { Line } from './health/line.ts'
import type { PermitRefusal } from './health/waiting.ts'

/**
 * The failure that a call ends with if its last attempt failed with `failure` and `reason` stopped it.
 * Usually that is the attempt's own failure, because that is what the user has to fix, whatever prevented
 * another attempt.
 */
export function stopFailure(
  reason: StopReason,
  failure: Failure,
  facts: { readonly hintMs: number },
): Failure {
  if (facts.hintMs > 0 && AFTER_A_HINT.has(reason)) {
    // The hint may have been given to another call and kept by the line.
    return { ...failure, retryAfterMs: wholeMs(facts.hintMs) }
  }
  // With 'yes' an answer arrived, so the outcome is known even if the answer is bad.
  if (reason === 'outcome_unknown' && failure.executed === 'maybe') {
    return { ...failure, ...ownFailure('outcome_unknown', failure.message, failure) }
  }
  return failure
}

const AFTER_A_HINT: ReadonlySet<StopReason> = new Set([
  'hint_exceeds_wait',
  'hint_exceeds_deadline',
  'max_wait',
  'hopeless_wait',
])

/** The caller aborted; `cause` is the abort reason. */
export function abortedFailure(last: Failure | undefined, cause: unknown): Failure {
  return { ...ownFailure('aborted', 'The caller aborted the call', last), cause }
}

/** The client was closed, so nothing more is sent. */
export function closedFailure(last?: Failure): Failure {
  return {
    ...ownFailure('aborted', 'The client was closed', last),
    cause: new ClientClosed(),
    detail: 'the client was closed by llm.close()',
    advice: 'Make the call with another client.',
  }
}

/**
 * The failure of a call that its line did not let through: the kind and status of the failure that closed the
 * line, but nothing else of the call that met it. If too many calls are waiting, that is the failure.
 */
export function heldFailure(
  { by, why }: Pick<PermitRefusal, 'by'> & { readonly why?: PermitRefusal['why'] },
  line: Line,
  name: string,
  last?: Failure,
): Failure {
  if (why === 'full') return ownFailure('overloaded', `Too many calls wait for ${name}`, last)
  const seen = line.seen(by)
  const kind = seen?.kind ?? (by === 'hint' ? 'rate_limit' : 'overloaded')
  const failure = ownFailure(kind, `${name} cannot take it now`, last)
  const retryAfterMs = by === 'hint' || by === 'limit' ? wholeMs(line.toldForMs) : 0
  return {
    ...failure,
    ...(seen?.status !== undefined && { status: seen.status }),
    ...(retryAfterMs > 0 && { retryAfterMs }),
  }
}

/** A failure decided here; its cause is the last caught error. */
export function ownFailure(kind: FailureKind, message: string, last: Failure | undefined): Failure {
  return {
    kind,
    retryable: FAILURE_KINDS[kind].retry === 'yes',
    executed: last?.executed ?? 'no',
    message,
    cause: last?.cause,
  }
}

/** Rounded up; sums of a monotonic clock are off by less than a microsecond. */
function wholeMs(ms: number): number {
  return Math.ceil(Math.round(ms * 1_000) / 1_000)
}
