import type { Failure } from '../../errors/call-error.ts'
import { FAILURE_KINDS } from '../../errors/failure-kinds.ts'

/**
 * What the end of an attempt says of its target:
 *
 * - `success`: a good answer
 * - `answered`: not what was wanted, but the target is well (a 400, a spent quota, a refusal)
 * - `limited`: a rate limit
 * - `refused`: no capacity, or no connection: it was not executed
 * - `slow`: no answer in time
 * - `error`: it failed after it had begun
 * - `nothing`: never sent, aborted, or a failure that never reached it
 */
export type Sign = 'success' | 'answered' | 'limited' | 'refused' | 'slow' | 'error' | 'nothing'

export function signOf(failure: Failure): Sign {
  switch (failure.kind) {
    case 'rate_limit':
      return 'limited'
    case 'overloaded':
      return 'refused'
    case 'timeout':
      return 'slow'
    case 'server_error':
      return 'error'
    case 'network':
      return failure.executed === 'no' ? 'refused' : 'error'
    case 'dns':
    case 'tls':
      return 'nothing'
    case 'unknown':
      return failure.status === undefined ? 'nothing' : 'answered'
    default:
      return FAILURE_KINDS[failure.kind].ours ? 'nothing' : 'answered'
  }
}
