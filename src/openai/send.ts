import type { Exchange } from '../call/task.ts'
import type { Answer } from './api-promise.ts'
import type { ChatClient } from './chat-client.ts'
import type { Params } from './given-params.ts'
import { headSeen, isHead, method, promiseOf, responseOf } from './given-promise.ts'
import { discard } from './given-stream.ts'
import { gatewayHeaders, hasHeader, withOwnHeaders } from './headers.ts'
import type { ApiRequest } from './request.ts'
import { isObserved, WIRE, type WireRecord, wireOf } from './wire.ts'

/** The client's own method: `create` of one of its resources. */
export type Method = (client: ChatClient, body: Params, options: object) => unknown

/** One request through the client's own method, its answer read whole (or its stream opened). */
export async function send<T = unknown>(
  create: Method,
  request: ApiRequest,
  exchange: Exchange,
  body: Params,
): Promise<Answer<T>> {
  const { bounds } = exchange
  const wire = wireOf(exchange)
  const given = start(create, request, exchange, body, bounds.signal)
  const withResponse = wire.carried === undefined ? method(given, 'withResponse') : undefined
  wire.givesResponse = withResponse !== undefined
  if (withResponse !== undefined) {
    // A tracer's promise may reject beside the one that is awaited, with the same error.
    if (given instanceof Promise) void given.catch(() => {})
    return answerIn(await bounds.race(promiseOf(withResponse())), wire)
  }
  try {
    return answerIn(await bounds.race(promiseOf(given)), wire)
  } catch (error) {
    discard(given)
    throw error
  }
}

/** The same up to the head of the answer: the body is the caller's, who may want to stop it later. */
export async function sendForHead(
  create: Method,
  request: ApiRequest,
  exchange: Exchange,
  body: Params,
): Promise<Answer<undefined>> {
  const { bounds } = exchange
  const { signal } = request.options
  const whole = signal === undefined ? bounds.signal : AbortSignal.any([signal, bounds.signal])
  const given = start(create, request, exchange, body, whole)
  return answerOf(undefined, await bounds.race(responseOf(given)))
}

/** The answer, from what the client's promise came to: the data, or the data with its response. */
export function answerIn<T>(came: unknown, wire: WireRecord): Answer<T> {
  // What this client's `create` answers, whatever that is: everything in it is read defensively.
  if (wire.givesResponse) {
    const { data, response }: { data?: unknown; response?: unknown } = Object(came)
    return answerOf(data as T, isHead(response) ? response : headSeen(wire))
  }
  const { response = headSeen(wire) } = wire
  wire.response = undefined
  return answerOf(came as T, response)
}

const IDEMPOTENCY_KEY = 'idempotency-key'

// A 32-bit integer, as openai requires; ours is the limit that counts.
const MAX_SDK_TIMEOUT_MS = 2 ** 31 - 1

function start(
  create: Method,
  { given: params, targets, requestOptions, options }: ApiRequest,
  exchange: Exchange,
  body: Params,
  signal: AbortSignal,
): unknown {
  const { attemptTimeoutMs } = options
  const { bounds } = exchange
  const wire = wireOf(exchange)
  const target = targets[exchange.target]
  const client: ChatClient | undefined = target?.client
  const { headers: given } = requestOptions
  const fetchOptions = Object(requestOptions['fetchOptions'])
  const nested = Reflect.has(fetchOptions, WIRE)
  const idempotencyKey = exchange.idempotencyHeader(params.identityOf(body))
  // A stream's own controller must hear of our signal: its readers look at that one.
  const isCarried =
    client !== undefined &&
    signal === bounds.signal &&
    body['stream'] !== true &&
    isObserved(client)
  if (isCarried) {
    const isTaken = !nested && hasHeader(given, IDEMPOTENCY_KEY)
    wire.carried = { bounds, idempotencyKey: isTaken ? undefined : idempotencyKey }
  }
  const sdkOptions = {
    ...requestOptions,
    maxRetries: 0,
    timeout: Math.min(Math.ceil(attemptTimeoutMs), MAX_SDK_TIMEOUT_MS),
    ...(!isCarried && { signal }),
    headers: withOwnHeaders(given, nested, {
      ...gatewayHeaders(target),
      // openai says 0 by itself.
      'x-stainless-retry-count': exchange.number === 1 ? undefined : wire.retryCount,
      [IDEMPOTENCY_KEY]: isCarried ? undefined : idempotencyKey,
      ...(exchange.traceparent !== undefined && { traceparent: exchange.traceparent }),
    }),
    fetchOptions: { ...fetchOptions, [WIRE]: wire },
  }
  return client && create(client, body, sdkOptions)
}

/** An answer of data and the response it came in. */
export function answerOf<T>(data: T, response: Response): Answer<T> {
  return { data, response, props: { response, options: {} } }
}
