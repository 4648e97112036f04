import type { Exchange } from '../call/task.ts'
import type { Failure } from '../errors/call-error.ts'
import { readProperty } from '../errors/hostile.ts'
import { matchCause } from '../errors/match-cause.ts'
import { isRequestError } from './client.ts'
import type { ApiRequest } from './request.ts'
import { seesBodies, wireOf } from './wire.ts'

/**
 * What the caller's own `toJSON` or getter threw, or whatever else openai does before it sends
 * anything, is no word of a provider's, whatever it looks like.
 */
export function judgeUnsent(request: ApiRequest, failure: Failure, exchange: Exchange): Failure {
  const { cause } = failure
  if (isRefusedByClient(request, failure, exchange)) {
    const kind = 'invalid_request'
    return { kind, retryable: false, executed: 'no', message: kind, code: 'invalid_option', cause }
  }
  if (!isUnsent(request, failure, exchange)) return failure
  return { kind: 'unknown', retryable: false, executed: 'no', message: 'unknown', cause }
}

function isUnsent({ given, targets }: ApiRequest, failure: Failure, exchange: Exchange): boolean {
  const { bounds, target } = exchange
  const wire = wireOf(exchange)
  const { cause: error } = failure
  if (bounds.ended !== undefined) return false
  if (given.threw(error)) return true
  // A URL or a header of which no request can be made: that is known of it.
  if (isUnsendable(failure)) return false
  if (!wire.keepsBody || wire.fetches + wire.sockets > 0) return false
  const client = targets[target]?.client
  // A test's double may say anything without sending it, and the credentials' own requests go unseen.
  return (
    client !== undefined &&
    !Object.hasOwn(client.chat.completions, 'create') &&
    !isRequestError(error, client)
  )
}

/**
 * openai tripped over an option before it called `fetch`, as over a signal that is none, and tells of
 * it as of a connection. What any `fetch` would say of a connection has a rule.
 */
function isRefusedByClient(
  { targets }: ApiRequest,
  { kind, cause }: Failure,
  exchange: Exchange,
): boolean {
  const { bounds, target } = exchange
  const wire = wireOf(exchange)
  const client = targets[target]?.client
  if (kind !== 'network' || bounds.ended !== undefined || client === undefined) return false
  if (wire.fetches + wire.sockets > 0 || !seesBodies(client)) return false
  const thrown = readProperty(cause, 'cause')
  const isPlain = readProperty(thrown, 'cause') === undefined && matchCause(thrown) === undefined
  return readProperty(thrown, 'name') === 'TypeError' && isPlain
}

function isUnsendable({ kind, executed, status }: Failure): boolean {
  return kind === 'invalid_request' && executed === 'no' && status === undefined
}
