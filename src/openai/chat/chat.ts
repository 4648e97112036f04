import type { CallIdentity } from '../../call/fingerprints.ts'
import type { AnswerFacts, Codec, Exchange, Job, RequestTelemetry } from '../../call/job.ts'
import type { ResolvedCall } from '../../options/options.ts'
import type { Clock } from '../../time.ts'
import type { Answer } from '../api-promise.ts'
import type { ChatClient } from '../client.ts'
import { clientIdentity, described } from '../client-identity.ts'
import { gatewayFacts, throughGateway } from '../gateways.ts'
import { headSeen, isHead, method, promiseOf, responseOf } from '../given-promise.ts'
import { discard } from '../given-stream.ts'
import { gatewayHeaders, hasHeader, lastingHeaders, withOwnHeaders } from '../headers.ts'
import { type CallTarget, providerName } from '../targets.ts'
import { isObserved, WIRE, type WireRecord } from '../wire.ts'
import { failureInAnswer, isObject, requestIdOf } from './answer.ts'
import type { GivenParams } from './given-params.ts'
import { RequestTokens } from './request-tokens.ts'
import { factsOf } from './shape.ts'
import { judgeUnsent } from './unsent.ts'

/** A chat completion request, as far as it is read here. */
export type ChatParams = Readonly<Record<string, unknown>>

/** openai's request options, as far as they are read here; the rest is passed on. */
export type RequestOptions = Readonly<Record<string, unknown>>

export interface ChatRequest {
  /** What the caller gave: the body of each request that needs no change. */
  readonly given: GivenParams
  /** The same as JSON. Read where something is made of it: reading it costs a copy. */
  readonly params: ChatParams
  readonly requestOptions: RequestOptions
  readonly options: ResolvedCall
  readonly targets: readonly [CallTarget, ...CallTarget[]]
  readonly clock: Clock
  /** The body as last adapted to each target; none where the first one takes it as it is. */
  adapted: Map<CallTarget, { readonly from: ChatParams; readonly body: ChatParams }> | undefined
}

/** The drop-in call, not streamed: what openai answers is what the caller gets. */
export function completionJob(request: ChatRequest): Job<Answer<unknown>> {
  return {
    ...chatBasics('create', request),
    codec: completionCodec,
    completionOf: ({ data }) => data,
    replayedFacts: ({ data, response }) => factsOf(data, response),
    async late(came, exchange) {
      const answer = lateAnswer(came, exchange)
      return answer && { late: answer }
    },
    async send(exchange) {
      const answer = await sendChat(request, exchange, ownBodyFor(request, exchange))
      const { data, response } = answer
      const facts = { ...factsOf(data, response), ...saidByGateway(request, exchange, answer) }
      const failure = failureInAnswer(data, response, exchange.clock)
      return failure === undefined
        ? { ok: true, value: answer, facts }
        : { ok: false, failure, facts, completion: data }
    },
  }
}

/** `create(…).asResponse()`: guarded until the head has arrived; the body is the caller's. */
export function responseJob(request: ChatRequest): Job<Answer<undefined>> {
  return {
    ...chatBasics('create', request),
    async send(exchange) {
      const body = ownBodyFor(request, exchange)
      const { bounds } = exchange
      const { signal } = request.options
      // The body is read after this attempt is over, and the caller may still want to stop it.
      const whole = signal === undefined ? bounds.signal : AbortSignal.any([signal, bounds.signal])
      const given = startChat(request, exchange, body, whole)
      const response = await bounds.race(responseOf(given))
      const value = answerOf(undefined, response)
      const said = saidByGateway(request, exchange, value)
      return {
        ok: true,
        value,
        facts: { status: response.status, ...requestIdOf(response), ...said },
      }
    },
  }
}

/** What every chat job has in common. */
export function chatBasics(
  face: 'create' | 'json',
  request: ChatRequest,
): Pick<
  Job<never>,
  | 'face'
  | 'operation'
  | 'name'
  | 'options'
  | 'targets'
  | 'telemetry'
  | 'payload'
  | 'identify'
  | 'judge'
  | 'tokens'
> {
  const { given, options, targets } = request
  return {
    face,
    operation: 'chat',
    name: targets[0].model,
    options,
    targets,
    telemetry: requestTelemetry(given.facts, targets),
    payload: () => request.params,
    identify: () => chatIdentity(request, request.params),
    judge: (failure, exchange) => judgeUnsent(request, failure, exchange),
    tokens: new RequestTokens(request),
  }
}

/** The same request, and the same target: what `asked` says of the one, its client of the other. */
export function chatIdentity(
  { requestOptions, targets }: ChatRequest,
  { model: _, ...asked }: ChatParams,
): CallIdentity {
  // openai passes its own key option on, and the headers are compared without those of one sending.
  const { headers, idempotencyKey: _key, ...options } = requestOptions
  return {
    request: [asked, described(options), lastingHeaders(headers)],
    targets: targets.map(({ client, model }) => [model, clientIdentity(client)]),
  }
}

function requestTelemetry(params: ChatParams, targets: readonly CallTarget[]): RequestTelemetry {
  const host = targets[0]?.host
  const maxTokens = params['max_completion_tokens'] ?? params['max_tokens']
  const { temperature, top_p: topP, seed, n, stop, service_tier: serviceTier } = params
  const { frequency_penalty: frequencyPenalty, presence_penalty: presencePenalty } = params
  return {
    providerName: host === undefined ? undefined : providerName(host),
    maxTokens: numberIn(maxTokens),
    temperature: numberIn(temperature),
    topP: numberIn(topP),
    seed: numberIn(seed),
    frequencyPenalty: numberIn(frequencyPenalty),
    presencePenalty: numberIn(presencePenalty),
    serviceTier: typeof serviceTier === 'string' ? serviceTier : undefined,
    outputType: outputTypeOf(params['response_format']),
    stop: isStop(stop) ? stop : undefined,
    choiceCount: n === 1 ? undefined : numberIn(n),
    stream: params['stream'] === true ? true : undefined,
    messages: params['messages'],
  }
}

function numberIn(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}

/** In the conventions' words; only where a format was asked for. */
function outputTypeOf(format: unknown): 'json' | 'text' | undefined {
  const type = isObject(format) ? Reflect.get(format, 'type') : undefined
  if (type === 'json_object' || type === 'json_schema') return 'json'
  return type === 'text' ? 'text' : undefined
}

function isStop(stop: unknown): stop is string | readonly string[] {
  return typeof stop === 'string' || Array.isArray(stop)
}

/** The request body of one attempt: the caller's parameters, as the target wants them. */
export function ownBodyFor(request: ChatRequest, exchange: Exchange): ChatParams {
  const target = request.targets[exchange.target]
  return target === undefined || mustAdapt(request, target)
    ? bodyFor(request, exchange, request.params)
    : request.given.toSend(target.client, exchange.wire)
}

/** The same of a body that was made of them. */
export function bodyFor(
  request: ChatRequest,
  { target: index }: Exchange,
  body: ChatParams,
): ChatParams {
  const target = request.targets[index]
  if (target === undefined || !mustAdapt(request, target)) return body
  const { model, gateway } = target
  // One object for equal bodies: a body sent again keeps its `Idempotency-Key`.
  request.adapted ??= new Map()
  const known = request.adapted.get(target)
  if (known?.from === body) return known.body
  const made = throughGateway(gateway, { ...body, model })
  request.adapted.set(target, { from: body, body: made })
  return made
}

function mustAdapt({ targets }: ChatRequest, { model, gateway }: CallTarget): boolean {
  return model !== targets[0].model || gateway?.body !== undefined
}

/** What the gateway in between says of this answer. */
export function saidByGateway(
  { targets }: ChatRequest,
  { target, wire }: Exchange,
  { data, response }: Answer<unknown>,
): Pick<AnswerFacts, 'gatewayAttempts' | 'gatewayMultiplied'> {
  const gateway = targets[target]?.gateway
  if (gateway === undefined) return {}
  return gatewayFacts(gateway, { headers: response.headers, sent: wire.sent, body: data })
}

/** One request through openai's own method, its answer read whole (or its stream opened). */
export async function sendChat<T = unknown>(
  request: ChatRequest,
  exchange: Exchange,
  body: ChatParams,
): Promise<Answer<T>> {
  const { bounds, wire } = exchange
  const given = startChat(request, exchange, body, bounds.signal)
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

/** The answer, from what the client's promise came to: the data, or the data with its response. */
function answerIn<T>(came: unknown, wire: WireRecord): Answer<T> {
  // What this client's `create` answers, whatever that is: everything in it is read defensively.
  if (wire.givesResponse) {
    const { data, response }: { data?: unknown; response?: unknown } = Object(came)
    return answerOf(data as T, isHead(response) ? response : headSeen(wire))
  }
  const { response = headSeen(wire) } = wire
  wire.response = undefined
  return answerOf(came as T, response)
}

/** An answer that came after its attempt had ended, unless it is an error in disguise. */
export function lateAnswer(came: unknown, { wire, clock }: Exchange): Answer<unknown> | undefined {
  const answer = answerIn<unknown>(came, wire)
  const failure = failureInAnswer(answer.data, answer.response, clock)
  return failure === undefined ? answer : undefined
}

const IDEMPOTENCY_KEY = 'idempotency-key'

// A 32-bit integer, as openai requires; ours is the limit that counts.
const MAX_SDK_TIMEOUT_MS = 2 ** 31 - 1

function startChat(
  { given: params, targets, requestOptions, options }: ChatRequest,
  exchange: Exchange,
  body: ChatParams,
  signal: AbortSignal,
): unknown {
  const { attemptTimeoutMs } = options
  const { bounds, wire } = exchange
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
  // The casts cross into openai's types: `prepareClient` has proved that the method is there.
  return client?.chat.completions.create(body as never, sdkOptions as never)
}

/** An answer of data and the response it came in. */
export function answerOf<T>(data: T, response: Response): Answer<T> {
  return { data, response, props: { response, options: {} } }
}

/** A completion is kept as the JSON it came as; on replay it gets a response of its own. */
const completionCodec: Codec<Answer<unknown>> = {
  encode: ({ data }) => encodeCompletion(data),
  decode: (result, source) => answerOf(decodeCompletion(result), replayedResponse(result, source)),
}

export function encodeCompletion(completion: unknown): string {
  return JSON.stringify(completion)
}

export function decodeCompletion(result: string): unknown {
  return JSON.parse(result)
}

function replayedResponse(result: string, source: 'store' | 'shared'): Response {
  return new Response(result, {
    status: 200,
    headers: { 'content-type': 'application/json', 'x-steadycall-source': source },
  })
}
