import type { ResolvedCall } from '../options.ts'
import type { Clock } from '../time.ts'
import { factsOf, failureInAnswer, isObject, requestIdOf } from './answer.ts'
import type { Answer } from './call-promise.ts'
import { gatewayFacts, throughGateway } from './gateways.ts'
import { gatewayHeaders, hasHeader, withOwnHeaders } from './headers.ts'
import type { AnswerFacts, Codec, Exchange, Job, RequestTelemetry } from './job.ts'
import { type CallTarget, type ChatClient, providerName } from './targets.ts'
import { isObserved, WIRE } from './wire-observer.ts'

/** A chat completion request, as far as it is read here. */
export type ChatParams = Readonly<Record<string, unknown>>

/** openai's request options, as far as they are read here; the rest is passed on. */
export type RequestOptions = Readonly<Record<string, unknown>>

export interface ChatRequest {
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
      const answer = await sendChat(request, exchange, bodyFor(request, exchange, request.params))
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
      const body = bodyFor(request, exchange, request.params)
      const { bounds } = exchange
      const { signal } = request.options
      // The body is read after this attempt is over, and the caller may still want to stop it.
      const whole = signal === undefined ? bounds.signal : AbortSignal.any([signal, bounds.signal])
      const sending = startChat(request, exchange, body, whole)
      const response = await bounds.race(sending.asResponse?.() ?? plainResponse(sending))
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
  { params, options, targets }: ChatRequest,
): Pick<
  Job<never>,
  'face' | 'operation' | 'name' | 'options' | 'targets' | 'telemetry' | 'payload'
> {
  return {
    face,
    operation: 'chat',
    name: String(params['model']),
    options,
    targets,
    telemetry: requestTelemetry(params, targets),
    payload: () => params,
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

/** The request body of one attempt: the given one, as the target wants it. */
export function bodyFor(
  request: ChatRequest,
  { target: index }: Exchange,
  body: ChatParams,
): ChatParams {
  const { targets, params } = request
  const target = targets[index]
  if (target === undefined) return body
  const { model, gateway } = target
  if (model === params['model'] && gateway?.body === undefined) return body
  // One object for equal bodies: a body sent again keeps its `Idempotency-Key`.
  request.adapted ??= new Map()
  const known = request.adapted.get(target)
  if (known?.from === body) return known.body
  const made = throughGateway(gateway, { ...body, model })
  request.adapted.set(target, { from: body, body: made })
  return made
}

/** What the gateway in between says of this answer. */
export function saidByGateway(
  { targets }: ChatRequest,
  { target }: Exchange,
  { data, response }: Answer<unknown>,
): Pick<AnswerFacts, 'gatewayAttempts'> {
  return gatewayFacts(targets[target]?.gateway, response.headers, data)
}

/** One request through openai's own method, its answer read whole (or its stream opened). */
export async function sendChat<T = unknown>(
  request: ChatRequest,
  exchange: Exchange,
  body: ChatParams,
): Promise<Answer<T>> {
  const { bounds, wire } = exchange
  const sending = startChat<T>(request, exchange, body, bounds.signal)
  if (wire.carried === undefined) {
    return answerIn(await bounds.race(sending.withResponse?.() ?? plainAnswer(sending)), exchange)
  }
  return answerIn(await bounds.race(sending), exchange)
}

/** The answer, from what openai's promise came to: the data alone where its request was carried. */
function answerIn<T>(came: unknown, { wire }: Exchange): Answer<T> {
  if (wire.carried === undefined) {
    // What `withResponse` gives; `plainAnswer` makes the same.
    const { data, response } = came as { data: T; response: Response }
    return answerOf(data, response)
  }
  const { response = new Response(null) } = wire
  wire.response = undefined
  // openai's own method returns what `T` says.
  return answerOf(came as T, response)
}

/** An answer that came after its attempt had ended, unless it is an error in disguise. */
export function lateAnswer(came: unknown, exchange: Exchange): Answer<unknown> | undefined {
  const answer = answerIn<unknown>(came, exchange)
  const failure = failureInAnswer(answer.data, answer.response, exchange.clock)
  return failure === undefined ? answer : undefined
}

/** openai's `APIPromise`; a test's spy may give a plain promise of the data instead. */
interface ResponsePromise<T> extends PromiseLike<T> {
  asResponse?(): Promise<Response>
  withResponse?(): Promise<{ data: T; response: Response }>
}

async function plainAnswer<T>(sending: PromiseLike<T>): Promise<{ data: T; response: Response }> {
  return { data: await sending, response: new Response(null) }
}

async function plainResponse(sending: PromiseLike<unknown>): Promise<Response> {
  return Response.json(await sending)
}

const IDEMPOTENCY_KEY = 'idempotency-key'

// A 32-bit integer, as openai requires; ours is the limit that counts.
const MAX_SDK_TIMEOUT_MS = 2 ** 31 - 1

function startChat<T>(
  { targets, requestOptions, options }: ChatRequest,
  exchange: Exchange,
  body: ChatParams,
  signal: AbortSignal,
): ResponsePromise<T> {
  const { attemptTimeoutMs } = options
  const { bounds, wire } = exchange
  const target = targets[exchange.target]
  const client: ChatClient | undefined = target?.client
  const { headers: given } = requestOptions
  const fetchOptions = Object(requestOptions['fetchOptions'])
  const nested = Reflect.has(fetchOptions, WIRE)
  const idempotencyKey = exchange.idempotencyHeader(body)
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
  // The two casts cross into openai's types: `prepareClient` has proved that the method is there,
  // and what it returns is a promise of some kind.
  return client?.chat.completions.create(
    body as never,
    sdkOptions as never,
  ) as unknown as ResponsePromise<T>
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
