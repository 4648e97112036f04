import { classifyThrown } from '../call/attempt.ts'
import type { AnswerFacts, Exchange, Sent, Task, TaskTokens } from '../call/task.ts'
import type { Failure } from '../errors/call-error.ts'
import { matchCause } from '../errors/cause-rules.ts'
import type { Allowance } from '../errors/hints.ts'
import { parseObject, readProperty } from '../errors/hostile.ts'
import type { ResolvedCall } from '../options/options.ts'
import type { TargetState } from '../retry/health/target-state.ts'
import type { RequestTelemetry } from '../telemetry/attributes.ts'
import { withoutUndefined } from '../without-undefined.ts'
import { type Answer, headSeen, isHead, method, promiseOf, responseOf } from './api-promise.ts'
import type { ChatClient } from './chat-client.ts'
import { clientIdentity, described, isRequestError } from './client.ts'
import { type ApiRequest, allowancesIn, type Params } from './request.ts'
import { discard } from './stream-class.ts'
import { type CallTarget, gatewayFacts, noticeGateway } from './targets.ts'
import { judgeUnsendable } from './unsendable.ts'
import {
  gatewayHeaders,
  hasHeader,
  isObserved,
  lastingHeaders,
  seesBodies,
  WIRE,
  WireRecord,
  wireOf,
  withOwnHeaders,
} from './wire.ts'

/** The client's own method: `create` of one of its resources. */
export type Method = (client: ChatClient, body: Params, options: object) => unknown

/** One request through the client's own method, its answer read whole (or its stream opened). */
export function send<T = unknown>(
  create: Method,
  request: ApiRequest,
  exchange: Exchange,
  body: Params,
): Promise<Answer<T>> {
  const { bounds } = exchange
  const wire = wireOf(exchange)
  const read = (came: unknown): Answer<T> => answerIn(came, wire)
  // Not an async function: one more that waits, in every call, costs memory.
  try {
    const given = start(create, request, exchange, body, bounds.signal)
    const withResponse = wire.carried === undefined ? method(given, 'withResponse') : undefined
    wire.givesResponse = withResponse !== undefined
    if (withResponse === undefined) {
      const answer = bounds.race(promiseOf(given), read)
      // What a tracer's generator stands for, nobody is going to read.
      const isPlain = given instanceof Promise && !readProperty(given, Symbol.asyncIterator)
      if (!isPlain) void answer.catch(() => discard(given))
      return answer
    }
    // A tracer's promise may reject beside the one that is awaited, with the same error.
    if (given instanceof Promise) void given.catch(() => {})
    return bounds.race(promiseOf(withResponse()), read)
  } catch (error) {
    return Promise.reject(error)
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

// Targets of which a good answer has been looked at: what is in front of them does not change.
const lookedAt = new WeakSet<TargetState>()

/** What the tasks of every API of an openai client have in common. */
export abstract class ApiTask<T> implements Task<T> {
  readonly isFunction = false
  abstract readonly operation: string
  abstract readonly tokens: TaskTokens
  readonly name: string
  readonly options: ResolvedCall
  readonly targets: readonly [CallTarget, ...CallTarget[]]
  protected readonly request: ApiRequest

  readonly timeoutMs: number

  constructor(request: ApiRequest) {
    this.request = request
    this.options = request.options
    this.targets = request.targets
    this.name = request.targets[0].model
    const { firstChunkTimeoutMs, attemptTimeoutMs } = request.options
    // Read once: the caller may change the parameters meanwhile.
    this.timeoutMs = request.given.facts['stream'] === true ? firstChunkTimeoutMs : attemptTimeoutMs
  }

  abstract describe(): RequestTelemetry

  abstract send(exchange: Exchange): Promise<Sent<T>>

  payload(): unknown {
    return this.request.params
  }

  identify(): { readonly request: unknown; readonly targets: readonly unknown[] } {
    return this.identityOf(this.request.params)
  }

  watch(attempt: number): WireRecord {
    return new WireRecord(attempt)
  }

  judge(failure: Failure, exchange: Exchange): Failure {
    return judgeUnsent(this.request, failure, exchange)
  }

  judgeAny(failure: Failure, exchange: Exchange): Failure {
    return judgeUnsendable(failure, wireOf(exchange), exchange.bounds)
  }

  thrownFacts(exchange: Exchange): AnswerFacts {
    const { status, headers, sent, errorBody = '' } = wireOf(exchange)
    const gateway = this.targets[exchange.target]?.gateway
    if (gateway === undefined) return withoutUndefined({ status })
    const said = gatewayFacts(gateway, { headers, sent, body: parseObject(errorBody) })
    return withoutUndefined({ status, ...said })
  }

  /** A failure may be that of something in front of the gateway, and is looked at each time. */
  lookAround(isGood: boolean, exchange: Exchange): void {
    const { headers, sent } = wireOf(exchange)
    const state = this.targets[exchange.target]?.state
    if (!this.request.looksForGateway || headers === undefined) return
    if (state === undefined || lookedAt.has(state)) return
    if (isGood) lookedAt.add(state)
    noticeGateway(this.request.runtime, headers, sent)
  }

  allowances(exchange: Exchange): readonly Allowance[] | undefined {
    const state = this.targets[exchange.target]?.state
    return state && allowancesIn(state, wireOf(exchange), exchange.clock)
  }

  /** The same request, and the same target: what `asked` says of the one, its client of the other. */
  protected identityOf({ model: _, ...asked }: Params): ReturnType<ApiTask<T>['identify']> {
    // openai passes its own key option on, and the headers are compared without those of one sending.
    const { headers, idempotencyKey: _key, ...options } = this.request.requestOptions
    return {
      request: [asked, described(options), lastingHeaders(headers)],
      targets: this.targets.map(({ client, model }) => [model, clientIdentity(client)]),
    }
  }

  /** What the gateway in between says of this answer. */
  protected saidByGateway(
    exchange: Exchange,
    { data, response }: Answer<unknown>,
  ): Pick<AnswerFacts, 'gatewayAttempts' | 'gatewayMultiplied'> {
    const gateway = this.targets[exchange.target]?.gateway
    if (gateway === undefined) return {}
    const { headers } = response
    return gatewayFacts(gateway, { headers, sent: wireOf(exchange).sent, body: data })
  }

  /** What `send` threw, as the failure that the engine makes of it. */
  protected thrown(error: unknown, exchange: Exchange): Failure {
    return classifyThrown(error, exchange, this.isFunction)
  }
}

/**
 * What the caller's own `toJSON` or getter threw, or whatever else openai does before it sends
 * anything, is no word of a provider's, whatever it looks like.
 */
function judgeUnsent(request: ApiRequest, failure: Failure, exchange: Exchange): Failure {
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
