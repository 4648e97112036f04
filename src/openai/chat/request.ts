import { warnOnce } from '../../call/runtime.ts'
import type { CallContext } from '../../call/work.ts'
import { isSignal, nativeSignal } from '../../native-signal.ts'
import type { CallOptions, ResolvedCall } from '../../options/options.ts'
import { type CallFace, resolveCall } from '../../options/resolve-options.ts'
import type { Clock } from '../../time.ts'
import {
  attemptsFor,
  type ChatClient,
  clientAttempts,
  clientTimeoutMs,
  prepareClient,
  setsTimeout,
} from '../client.ts'
import { gatewayOf } from '../gateways.ts'
import { switchesGatewayOn } from '../headers.ts'
import { chatTargets } from '../targets.ts'
import { WIRE } from '../wire.ts'
import type { ChatParams, ChatRequest, RequestOptions } from './chat.ts'
import { GivenParams } from './given-params.ts'

/** One drop-in or structured request, with everything resolved. */
export function chatRequest(
  face: CallFace['face'],
  client: ChatClient,
  { runtime, settings }: CallContext,
  params: unknown,
  requestOptions: RequestOptions,
  own: CallOptions,
): ChatRequest {
  const { signal, maxRetries, timeout, ...passed } = requestOptions
  checkRequestOptions(face, signal, timeout)
  for (const [index, { client: other }] of (own.fallbacks ?? []).entries()) {
    if (other !== undefined) prepareClient(`${face}(): fallbacks[${index}].client`, other)
  }
  // An outer steadycall layer set maxRetries: 0, and leaves the retrying to us.
  const outer = Reflect.has(Object(passed['fetchOptions']), WIRE)
  const requestAttempts = outer ? undefined : attemptsFor(maxRetries)
  const options = resolveCall(settings, withSignal(own, signal), {
    face,
    clientTimeoutMs: typeof timeout === 'number' ? timeout : clientTimeoutMs(client),
    setsTimeout: typeof timeout === 'number' || setsTimeout(client),
    requestAttempts,
    clientAttempts: clientAttempts(client),
  })
  const given = new GivenParams(params)
  const model = String(given.facts['model'])
  const gateway = gatewayOf(settings.gateway)
  if (gateway !== undefined && switchesGatewayOn(gateway, client, passed['headers'])) {
    warnOnce(
      runtime,
      'STEADYCALL_GATEWAY_RETRIES',
      `Headers of yours switch on the retries of ${gateway.name}: they multiply with ours. Remove them.`,
    )
  }
  const targets = chatTargets(runtime, settings, client, model, options.fallbacks, gateway)
  return new OneRequest(given, { requestOptions: passed, options, targets, clock: runtime.clock })
}

// A class, not a literal with a getter: one is made for every call.
class OneRequest implements ChatRequest {
  readonly given: GivenParams
  readonly requestOptions: RequestOptions
  readonly options: ResolvedCall
  readonly targets: ChatRequest['targets']
  readonly clock: Clock
  adapted: ChatRequest['adapted'] = undefined

  constructor(
    given: GivenParams,
    rest: Pick<ChatRequest, 'requestOptions' | 'options' | 'targets' | 'clock'>,
  ) {
    this.given = given
    this.requestOptions = rest.requestOptions
    this.options = rest.options
    this.targets = rest.targets
    this.clock = rest.clock
  }

  get params(): ChatParams {
    return this.given.json
  }
}

/** openai's own `signal` and `timeout`, which we take over: what is none is refused, not dropped. */
function checkRequestOptions(face: string, signal: unknown, timeout: unknown): void {
  if (signal !== undefined && signal !== null && !isSignal(signal)) {
    throw new TypeError(`${face}(): signal must be an AbortSignal`)
  }
  const isTimeout = typeof timeout === 'number' && timeout > 0
  if (timeout !== undefined && !isTimeout) {
    throw new TypeError(`${face}(): timeout must be a positive number of milliseconds`)
  }
}

function withSignal(own: CallOptions, signal: unknown): CallOptions {
  if (!isSignal(signal)) return own
  const native = nativeSignal(signal)
  return {
    ...own,
    signal: own.signal === undefined ? native : AbortSignal.any([nativeSignal(own.signal), native]),
  }
}

/** Parameters that would make another kind of answer than one JSON value. */
const REFUSED_BY_JSON = {
  stream: 'an answer can only be checked whole',
  response_format: 'it is made from the schema',
  functions: 'it asks for JSON; use create() for calls of functions',
} as const

/** @throws {TypeError} for a parameter that `json` cannot use, before any request. */
export function checkJsonParams(params: unknown): ChatParams {
  if (typeof params !== 'object' || params === null) {
    throw new TypeError(
      `json(): params must be an object, got ${params === null ? 'null' : typeof params}`,
    )
  }
  const given: ChatParams = { ...params }
  for (const [name, why] of Object.entries(REFUSED_BY_JSON)) {
    if (!isAbsent(given[name])) throw new TypeError(`json(): ${name} must be left out: ${why}`)
  }
  const { n, tools, tool_choice: toolChoice, model, messages, schema } = given
  if (!isAbsent(n) && n !== 1) {
    throw new TypeError(`json(): n must be 1 or left out, got ${String(n)}`)
  }
  if (!isAbsent(tools) && toolChoice !== 'none') {
    throw new TypeError("json(): tools must be left out, or tool_choice be 'none'")
  }
  if (typeof model !== 'string' || model === '') {
    throw new TypeError('json(): model must be the name of a model')
  }
  if (!Array.isArray(messages)) throw new TypeError('json(): messages must be an array')
  if (schema === undefined) {
    throw new TypeError('json(): schema must be a JSON Schema or a Standard Schema')
  }
  return given
}

/** openai takes null for "left out" too. */
function isAbsent(value: unknown): boolean {
  return value === undefined || value === null
}
