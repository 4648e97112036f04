import type { Failure } from '../../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../../errors/failure-kinds.ts'

/**
 * What the end of an attempt says about its target:
 *
 * - `success`: a good answer
 * - `answered`: another answer that shows that the target is up (a 400, an exhausted quota, a bad answer)
 * - `limited`: a rate limit
 * - `refused`: not executed, because of missing capacity or connection
 * - `slow`: no answer in time
 * - `error`: failed after execution had begun
 * - `nothing`: never sent, aborted, or a failure that did not reach the target
 */
export type Sign = 'success' | 'answered' | 'limited' | 'refused' | 'slow' | 'error' | 'nothing'

const SIGNS: Partial<Record<FailureKind, Sign>> = {
  rate_limit: 'limited',
  overloaded: 'refused',
  timeout: 'slow',
  server_error: 'error',
  // These did not reach the target, for reasons other than its load.
  dns: 'nothing',
  tls: 'nothing',
}

/** What a failed attempt says about its target. */
export function signOf({ kind, executed, status }: Failure): Sign {
  if (kind === 'network') return executed === 'no' ? 'refused' : 'error'
  const known = SIGNS[kind]
  if (known !== undefined) return known
  if (FAILURE_KINDS[kind].ours) return 'nothing'
  return kind === 'unknown' && status === undefined ? 'nothing' : 'answered'
}
