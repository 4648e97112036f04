import type { Failure } from '../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../errors/failure-kinds.ts'
import type { RefusedReask } from './loop-contract.ts'

/**
 * Was the request refused for what is in it? The provider has taken the same request without the
 * additions of the re-ask, so it is them that it refuses: a turn or a field that it does not take, a
 * tool that may not be forced (OpenRouter then finds no endpoint: 404), a text that is too long or that
 * its filter, or a firewall before it, knows (403). Under which status it says so does not matter, nor
 * does an error under 200. A key that was revoked or a quota that ran out meanwhile has nothing to do
 * with them, a failure that passes is retried, and an answer that was filtered is an answer.
 */
export function refusesReask({ kind, executed, status }: Failure): boolean {
  if (executed === 'yes' || (executed === 'maybe' && status === undefined)) return false
  return FAILURE_KINDS[kind].permanent || SPEAK_OF_REQUEST.has(kind)
}

/** As `permanent` kinds do, but about a request that was taken before. */
const SPEAK_OF_REQUEST: ReadonlySet<FailureKind> = new Set(['not_found', 'permission', 'unknown'])

/** The bad answer's failure. Its cause tells of the refusal too: nothing of either is lost. */
export function withRefusal({ answer, refusal }: RefusedReask): Failure {
  const causes = [answer.cause, refusal.cause].filter((cause) => cause !== undefined)
  if (causes.length < 2) return { ...answer, cause: causes[0] }
  return { ...answer, cause: new AggregateError(causes, 'A bad answer, and its refused re-ask') }
}
