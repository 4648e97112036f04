import type { Failure } from '../../../src/errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../../../src/errors/failure-kinds.ts'

/** A classified failure of the kind; retryable as its kind is. */
export function failureOf(kind: FailureKind, over: Partial<Failure> = {}): Failure {
  const { retry } = FAILURE_KINDS[kind]
  return {
    kind,
    retryable: retry === 'yes' || retry === 'once',
    executed: 'maybe',
    message: kind,
    cause: undefined,
    ...over,
  }
}
