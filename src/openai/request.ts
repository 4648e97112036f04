import { type Runtime, warnOnce } from '../call/runtime.ts'
import type { CallContext, Exchange } from '../call/task.ts'
import { isSignal, nativeSignal } from '../native-signal.ts'
import type { CallOptions, ResolvedCall } from '../options/options.ts'
import { type CallFace, resolveCall } from '../options/resolve-options.ts'
import type { Clock } from '../time.ts'
import type { ChatClient } from './chat-client.ts'
import {
  attemptsFor,
  clientAttempts,
  clientTimeoutMs,
  prepareClient,
  setsTimeout,
} from './client.ts'
import { gatewayOf, throughGateway } from './gateways.ts'
import { GivenParams, type Params } from './given-params.ts'
import { switchesGatewayOn } from './headers.ts'
import { type CallTarget, chatTargets } from './targets.ts'
import { WIRE, wireOf } from './wire.ts'

/** openai's request options, as far as they are read here; the rest is passed on. */
export type RequestOptions = Readonly<Record<string, unknown>>

/** @throws {TypeError} for a request option or a fallback's client that cannot be used. */
export function apiRequest(
  face: CallFace['face'],
  client: ChatClient,
  { runtime, settings }: CallContext,
  params: unknown,
  requestOptions: RequestOptions,
  own: CallOptions,
): ApiRequest {
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
  const looksForGateway = settings.gateway === undefined
  const rest = { requestOptions: passed, options, targets, runtime, looksForGateway }
  return new ApiRequest(given, rest)
}

/** One request of a face, with everything resolved. */
export class ApiRequest {
  /** What the caller gave: the body of each request that needs no change. */
  readonly given: GivenParams
  readonly requestOptions: RequestOptions
  readonly options: ResolvedCall
  readonly targets: readonly [CallTarget, ...CallTarget[]]
  readonly runtime: Runtime
  /** No gateway was named: one that answers show is told of. */
  readonly looksForGateway: boolean
  /** The body as last adapted to each target; none where the first one takes it as it is. */
  #adapted: Map<CallTarget, { readonly from: Params; readonly body: Params }> | undefined

  constructor(
    given: GivenParams,
    rest: Pick<
      ApiRequest,
      'requestOptions' | 'options' | 'targets' | 'runtime' | 'looksForGateway'
    >,
  ) {
    this.given = given
    this.requestOptions = rest.requestOptions
    this.options = rest.options
    this.targets = rest.targets
    this.runtime = rest.runtime
    this.looksForGateway = rest.looksForGateway
  }

  get clock(): Clock {
    return this.runtime.clock
  }

  /** What the caller gave, as JSON. Read where something is made of it: reading it costs a copy. */
  get params(): Params {
    return this.given.json
  }

  /** The body of one attempt: the caller's parameters, as the target wants them. */
  ownBodyFor(exchange: Exchange): Params {
    const target = this.targets[exchange.target]
    return target === undefined || this.#mustAdapt(target)
      ? this.bodyFor(exchange, this.params)
      : this.given.toSend(target.client, wireOf(exchange))
  }

  /** The same of a body that was made of them. */
  bodyFor({ target: index }: Exchange, body: Params): Params {
    const target = this.targets[index]
    if (target === undefined || !this.#mustAdapt(target)) return body
    const { model, gateway } = target
    // One object for equal bodies: a body sent again keeps its `Idempotency-Key`.
    this.#adapted ??= new Map()
    const known = this.#adapted.get(target)
    if (known?.from === body) return known.body
    const made = throughGateway(gateway, { ...body, model })
    this.#adapted.set(target, { from: body, body: made })
    return made
  }

  #mustAdapt({ model, gateway }: CallTarget): boolean {
    return model !== this.targets[0].model || gateway?.body !== undefined
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
