import type { Failure } from '../errors/call-error.ts'
import type { ChatRequest } from './chat.ts'
import { isRequestError } from './client.ts'
import type { Exchange } from './job.ts'

/**
 * What the caller's own `toJSON` or getter threw, or whatever else openai does before it sends
 * anything, is no word of a provider's, whatever it looks like.
 */
export function judgeUnsent(request: ChatRequest, failure: Failure, exchange: Exchange): Failure {
  const { cause } = failure
  if (!isUnsent(request, cause, exchange)) return failure
  return { kind: 'unknown', retryable: false, executed: 'no', message: 'unknown', cause }
}

function isUnsent(
  { given, targets }: ChatRequest,
  error: unknown,
  { bounds, wire, target }: Exchange,
): boolean {
  if (bounds.ended !== undefined) return false
  if (given.threw(error)) return true
  if (!wire.keepsBody || wire.fetches + wire.sockets > 0) return false
  const client = targets[target]?.client
  // A test's double may say anything without sending it, and the credentials' own requests go unseen.
  return (
    client !== undefined &&
    !Object.hasOwn(client.chat.completions, 'create') &&
    !isRequestError(error, client)
  )
}
