import type { Failure } from '../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../errors/failure-kinds.ts'
import type { RefusedReask } from './loop-contract.ts'

/**
 * Whether the provider refused a re-ask because of its content. The provider accepted the same request
 * without the additions of the re-ask, so it must have refused these: a message or field it does not accept,
 * a tool that cannot be forced (OpenRouter then finds no endpoint: 404), or a text that is too long or that
 * triggers its filter or a firewall in front of it (403). The status does not matter, and neither does an
 * error under 200. Not included are failures that have another cause (a revoked key, an exhausted quota),
 * failures that are retried, and an answer that was filtered.
 */
export function refusesReask({ kind, executed, status }: Failure): boolean {
  if (executed === 'yes' || (executed === 'maybe' && status === undefined)) return false
  return FAILURE_KINDS[kind].permanent || SPEAK_OF_REQUEST.has(kind)
}

/** Kinds that, unlike `permanent` ones, are about the content only because the request was accepted before. */
const SPEAK_OF_REQUEST: ReadonlySet<FailureKind> = new Set(['not_found', 'permission', 'unknown'])

/** The failure of the bad answer, with both causes, so that no information is lost. */
export function withRefusal({ answer, refusal }: RefusedReask): Failure {
  const causes = [answer.cause, refusal.cause].filter((cause) => cause !== undefined)
  if (causes.length < 2) return { ...answer, cause: causes[0] }
  return { ...answer, cause: new AggregateError(causes, 'A bad answer, and its refused re-ask') }
}
