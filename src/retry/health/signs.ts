import type { Failure } from '../../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../../errors/failure-kinds.ts'

/**
 * What the end of an attempt says of its target:
 *
 * - `success`: a good answer
 * - `answered`: not what was wanted, but the target is well (a 400, a spent quota, a bad answer)
 * - `limited`: a rate limit
 * - `refused`: no capacity, or no connection: it was not executed
 * - `slow`: no answer in time
 * - `error`: it failed after it had begun
 * - `nothing`: never sent, aborted, or a failure that never reached it
 */
export type Sign = 'success' | 'answered' | 'limited' | 'refused' | 'slow' | 'error' | 'nothing'

const SIGNS: Partial<Record<FailureKind, Sign>> = {
  rate_limit: 'limited',
  overloaded: 'refused',
  timeout: 'slow',
  server_error: 'error',
  // These never reached the target, for reasons other than its load.
  dns: 'nothing',
  tls: 'nothing',
}

/** What a failed attempt says of its target. */
export function signOf({ kind, executed, status }: Failure): Sign {
  if (kind === 'network') return executed === 'no' ? 'refused' : 'error'
  const known = SIGNS[kind]
  if (known !== undefined) return known
  if (FAILURE_KINDS[kind].ours) return 'nothing'
  return kind === 'unknown' && status === undefined ? 'nothing' : 'answered'
}
