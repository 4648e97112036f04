import type { Failure } from '../errors/call-error.ts'
import { FAILURE_KINDS } from '../errors/failure-kinds.ts'
import type { RefusedReask } from './loop-contract.ts'

/**
 * Was the request refused for what is in it? The provider has taken the same request without the
 * additions of the re-ask, so it is them that it refuses: a turn or a field that it does not take, a
 * tool that may not be forced (OpenRouter then finds no endpoint: 404), a text that is too long or that
 * its filter knows. A key that was revoked or a quota that ran out meanwhile has nothing to do with
 * them, and a failure that passes is retried.
 */
export function refusesReask({ kind, executed }: Failure): boolean {
  if (executed !== 'no') return false
  return FAILURE_KINDS[kind].permanent || kind === 'not_found' || kind === 'unknown'
}

/** The bad answer's failure. Its cause tells of the refusal too: nothing of either is lost. */
export function withRefusal({ answer, refusal }: RefusedReask): Failure {
  const causes = [answer.cause, refusal.cause].filter((cause) => cause !== undefined)
  if (causes.length < 2) return { ...answer, cause: causes[0] }
  return { ...answer, cause: new AggregateError(causes, 'A bad answer, and its refused re-ask') }
}
