import { type Runtime, warnOnce } from '../call/runtime.ts'
import type { CallContext, Exchange } from '../call/task.ts'
import {
  type Allowance,
  HEADER_SCHEMES,
  type HeaderScheme,
  type LimitHeaders,
  readAllowance,
  readCount,
  readHttpDate,
} from '../errors/hints.ts'
import { isObject, readHeader } from '../errors/hostile.ts'
import type { CallOptions, ResolvedCall } from '../options/options.ts'
import { type CallFace, resolveCall } from '../options/resolve-options.ts'
import type { TargetState } from '../retry/health/target-state.ts'
import { type Clock, isSignal, nativeSignal } from '../time.ts'
import type { ChatClient } from './chat-client.ts'
import { prepareClient } from './client.ts'
import { attemptsFor, clientAttempts, clientTimeoutMs, setsTimeout } from './facade.ts'
import { jsonOf, parseExactly } from './json-of.ts'
import { type CallTarget, chatTargets, gatewayOf, throughGateway } from './targets.ts'
import { seesBodies, switchesGatewayOn, WIRE, type WireRecord, wireOf } from './wire.ts'

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
  checkSignalAndTimeout(face, signal, timeout)
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
function checkSignalAndTimeout(face: string, signal: unknown, timeout: unknown): void {
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

/** The parameters of a request, as far as they are read here. */
export type Params = Readonly<Record<string, unknown>>

/**
 * The parameters that the caller gave to `create`. They go out once as the caller's own objects,
 * since openai's helpers watch how these are serialised; from then on, and wherever something has to
 * be read of them, they are the JSON that they became: every attempt sends the same bytes, whatever
 * the caller changes meanwhile, and the caller's own `toJSON` and getters are asked once.
 */
export class GivenParams {
  readonly #given: Params
  /** The request they went out with. */
  #sentWith: WireRecord | undefined
  #json: Params | undefined
  /** What reading them threw. */
  #broken: { readonly error: unknown } | undefined

  /** @throws what a root that serialises itself throws. */
  constructor(given: unknown) {
    // Untyped callers give anything; what is no object is openai's to refuse.
    this.#given = given as Params
    // Whether it is a stream has to be known before: elsewhere openai finds out while it serialises.
    // Read as openai reads it, also where it throws.
    const stream = this.#given['stream']
    const saysItself = isObject(stream) || (stream !== true && hasToJson(given))
    if (isOpaque(given)) this.#json = this.#given
    else if (saysItself) this.#json = this.#read()
  }

  /** For what is read at the root only, such as `model` and `stream`. */
  get facts(): Params {
    return this.#json ?? this.#given
  }

  /**
   * What is sent, whatever becomes of the caller's objects.
   * @throws what these throw.
   */
  get json(): Params {
    this.#json ??= this.#read()
    return this.#json
  }

  /** The body of an attempt that sends them as they are. */
  toSend(client: ChatClient, wire: WireRecord): Params {
    const isFirst = this.#json === undefined && this.#sentWith === undefined
    if (!isFirst || !isObject(this.#given) || !seesBodies(client)) return this.json
    this.#sentWith = wire
    wire.keepsBody = true
    return this.#given
  }

  /** The call has begun to wait. What it has not sent yet is not the caller's to change any more. */
  hold(): void {
    if (this.#sentWith !== undefined || this.#json !== undefined) return
    try {
      this.#json = this.#read()
    } catch {
      // Thrown again where it was to be sent.
    }
  }

  /** Equal for all bodies that are these parameters. */
  identityOf(body: Params): unknown {
    return this.#sentWith !== undefined && body === this.#json ? this.#given : body
  }

  /** Is this what reading them threw? */
  threw(error: unknown): boolean {
    return this.#broken !== undefined && this.#broken.error === error
  }

  #read(): Params {
    if (this.#broken !== undefined) throw this.#broken.error
    try {
      const json = sentJson(this.#sentWith?.body) ?? jsonOf(this.#given)
      // A root that is no object in JSON is the provider's to refuse.
      return isObject(json) && !Array.isArray(json) ? { ...json } : this.#given
    } catch (error) {
      this.#broken = { error }
      throw error
    }
  }
}

function sentJson(text: string | undefined): object | undefined {
  try {
    const json: unknown = text === undefined ? undefined : parseExactly(text)
    return isObject(json) ? json : undefined
  } catch {
    // Encoded otherwise, by headers or a subclass of the caller's.
    return undefined
  }
}

function hasToJson(given: unknown): boolean {
  return isObject(given) && typeof Reflect.get(given, 'toJSON') === 'function'
}

/** Bodies that openai passes on as they are, instead of as JSON. */
function isOpaque(given: unknown): boolean {
  if (!isObject(given)) return false
  if (Symbol.asyncIterator in given || (Symbol.iterator in given && 'next' in given)) return true
  // Nearly all of them.
  if (Object.getPrototypeOf(given) === Object.prototype) return false
  return (
    ArrayBuffer.isView(given) ||
    given instanceof ArrayBuffer ||
    given instanceof Blob ||
    given instanceof FormData ||
    given instanceof URLSearchParams
  )
}

/** While more than this share of a limit is left, the exact number does not matter. */
const PLENTY = 0.1

/** How one target reports its limits. */
interface Reporting {
  scheme: HeaderScheme | undefined
  /** Where none is known: the scheme to look for in the next answer. */
  next: number
  /** The limits, as far as it has named them. */
  readonly limits: Map<LimitHeaders, number>
}

const reportings = new WeakMap<TargetState, Reporting>()

/**
 * The limits that an answer's headers report, where they matter: little is left, or a request was
 * refused a while ago. The first answer and each refusal are searched for the headers of every known
 * provider; all others for those that the target is known to send, or else for one provider's in turn.
 */
export function allowancesIn(
  state: TargetState,
  { headers, status }: Pick<WireRecord, 'headers' | 'status'>,
  clock: Clock,
): readonly Allowance[] | undefined {
  if (headers === undefined) return undefined
  let reporting = reportings.get(state)
  const isNew = reporting === undefined
  if (reporting === undefined) {
    reporting = { scheme: undefined, next: 0, limits: new Map() }
    reportings.set(state, reporting)
  }
  const isRefused = status === 429
  const scheme =
    isNew || isRefused ? (find(headers) ?? reporting.scheme) : likely(reporting, headers)
  if (scheme === undefined) return undefined
  reporting.scheme = scheme
  const told = readScheme(scheme, headers)
  if (told.length === 0) return undefined
  if (!isRefused && !state.line.isRationed && isPlenty(told, reporting)) return undefined
  const nowMs = clock.wallMs()
  // By the target's own clock, where it sent one: ours may be off by minutes.
  const from = readHttpDate(readHeader(headers, 'date') ?? '', nowMs) ?? nowMs
  return told.map(([limit, remaining]) => {
    const allowance = readAllowance(limit, remaining, headers, from)
    // A limit that is never named is at least what was ever left of it.
    reporting.limits.set(
      limit,
      allowance.limit ?? Math.max(reporting.limits.get(limit) ?? 0, remaining),
    )
    return allowance
  })
}

type Told = readonly (readonly [limit: LimitHeaders, remaining: number])[]

function readScheme(scheme: HeaderScheme, headers: Headers): Told {
  const told: (readonly [LimitHeaders, number])[] = []
  for (const limit of scheme) {
    if (limit.onlyEmpty === true) continue
    const remaining = readCount(headers, limit.remaining)
    if (remaining !== undefined) told.push([limit, remaining])
  }
  return told
}

function isPlenty(told: Told, { limits }: Reporting): boolean {
  return told.every(([limit, remaining]) => remaining > (limits.get(limit) ?? Infinity) * PLENTY)
}

function find(headers: Headers): HeaderScheme | undefined {
  return HEADER_SCHEMES.find((scheme) => readScheme(scheme, headers).length > 0)
}

/** Where the scheme is not known, looking for one in turn costs next to nothing. */
function likely(reporting: Reporting, headers: Headers): HeaderScheme | undefined {
  if (reporting.scheme !== undefined) return reporting.scheme
  const scheme = HEADER_SCHEMES[reporting.next]
  reporting.next = (reporting.next + 1) % HEADER_SCHEMES.length
  const first = scheme?.[0]
  if (first === undefined || readCount(headers, first.remaining) === undefined) return undefined
  return scheme
}
