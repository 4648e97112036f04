import { hash } from 'node:crypto'
import { type Runtime, targetState, warnOnce } from '../call/runtime.ts'
import type { AnswerFacts, TaskTarget } from '../call/task.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import {
  type HeaderSource,
  parseObject,
  readHeader,
  readItems,
  readProperty,
} from '../errors/hostile.ts'
import type { Fallback, GatewayName, GatewayOption } from '../options/nested-options.ts'
import { DEFAULT_FALLBACK_ON } from '../options/options.ts'
import type { TargetSettings } from '../retry/health/target-state.ts'
import { providerName as providerOf } from '../telemetry/attributes.ts'
import type { ChatClient } from './chat-client.ts'
import { layersOf } from './facade.ts'

/** A target of a client's requests. */
export interface CallTarget extends TaskTarget {
  readonly host: string
  readonly port: number | undefined
  readonly providerName: string
  readonly model: string
  readonly client: ChatClient
  /** The gateway it goes through, where one was named. */
  readonly gateway?: Gateway
}

/** The call's own target, then its fallbacks in order. */
export function chatTargets(
  runtime: Runtime,
  settings: TargetSettings,
  client: ChatClient,
  model: string,
  fallbacks: readonly Fallback[],
  gateway?: Gateway,
): readonly [CallTarget, ...CallTarget[]] {
  const first = withGateway(
    chatTarget(runtime, settings, client, model, DEFAULT_FALLBACK_ON),
    gateway,
  )
  if (fallbacks.length === 0) return [first]
  return [
    first,
    ...fallbacks.map((fallback) => {
      const target = chatTarget(
        runtime,
        settings,
        fallback.client ?? client,
        fallback.model ?? model,
        fallback.on === undefined ? DEFAULT_FALLBACK_ON : new Set(fallback.on),
      )
      // Another host is another gateway, or none: it is not told what it would not understand.
      const isSame = target.host === first.host && target.port === first.port
      return isSame ? withGateway(target, gateway) : target
    }),
  ]
}

function withGateway(target: CallTarget, gateway: Gateway | undefined): CallTarget {
  return gateway === undefined ? target : { ...target, gateway }
}

function chatTarget(
  runtime: Runtime,
  settings: TargetSettings,
  client: ChatClient,
  model: string,
  on: ReadonlySet<FailureKind>,
): CallTarget {
  const endpoint = endpointOf(client)
  const { host, port, providerName } = endpoint
  if (endpoint.last.model !== model) endpoint.last = namesOf(host, endpoint.prefix, model)
  const { name } = endpoint.last
  const state = targetState(runtime, endpoint.last, settings)
  return { name, host, port, providerName, model, client, state, on }
}

interface Endpoint {
  readonly baseURL: string | undefined
  readonly apiKey: string | undefined
  readonly host: string
  readonly port: number | undefined
  readonly providerName: string
  /** Host, credential and layer: what a target's line belongs to, besides the model. */
  readonly prefix: string
  /** Of the model asked for last: most clients have one. */
  last: { readonly model: string; readonly name: string; readonly key: string }
}

const endpoints = new WeakMap<object, Endpoint>()

// Clients that do not say where they send to: each is a target of its own.
let unaddressed = 0

/** Parsed once per client, and again when its URL or key has changed. */
function endpointOf(client: ChatClient): Endpoint {
  const baseURL = textOf(client, 'baseURL')
  const apiKey = textOf(client, 'apiKey')
  const known = endpoints.get(client)
  if (known !== undefined && known.baseURL === baseURL && known.apiKey === apiKey) return known
  const url = baseURL === undefined ? null : URL.parse(baseURL)
  const host = url?.hostname ?? 'unknown'
  const port = url === null ? undefined : Number(url.port) || (url.protocol === 'http:' ? 80 : 443)
  const credential = apiKey === undefined ? 'none' : hash('sha256', apiKey).slice(0, 12)
  // The layers of a client that is wrapped twice meet the same failures, each with a line
  // of its own: the outer one must not hold what the inner one waits for.
  const address = url === null ? `${host}#${++unaddressed}` : `${host}:${port}`
  const prefix = `${address} ${credential} ${layersOf(client)}`
  const last = namesOf(host, prefix, '')
  const providerName = providerOf(host)
  const endpoint: Endpoint = { baseURL, apiKey, host, port, providerName, prefix, last }
  endpoints.set(client, endpoint)
  return endpoint
}

function textOf(client: object, key: string): string | undefined {
  const value = readProperty(client, key)
  return typeof value === 'string' ? value : undefined
}

function namesOf(host: string, prefix: string, model: string): Endpoint['last'] {
  return { model, name: `${host} ${model}`, key: `${prefix} ${model}` }
}

/** What a gateway said about one request. */
interface GatewayAnswer {
  readonly headers: HeaderSource | undefined
  /** Headers of the request, as the client sent them. */
  readonly sent?: HeaderSource | undefined
  /** The parsed body: a completion, the last chunk of a stream, or an error. */
  readonly body: unknown
}

/** The requests a gateway made upstream after the first, by why. */
interface Further {
  readonly retries?: number | undefined
  readonly fallbacks?: number | undefined
}

/** How one gateway is told to leave retries to us, and how it says what it did. */
export interface Gateway {
  readonly name: GatewayName
  /** Headers of its off-switch; one that the caller sets wins. Lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Headers that switch its retries on: with one of them the caller has two layers. */
  readonly switchesOn?: readonly string[]
  /** Members of its off-switch in the body; what the caller sets wins. */
  readonly body?: (given: unknown) => Readonly<Record<string, unknown>>
  /** What it made upstream besides the first request, where it says so. */
  readonly further?: (seen: GatewayAnswer) => Further | undefined
  /** Its own fallbacks are wanted: they count, and are no multiplication. */
  readonly keepsFallbacks?: boolean
}

interface KnownGateway extends Gateway {
  /** Parts of the off-switch that do without its fallbacks: not sent where those are kept. */
  readonly stopsFallbacks?: readonly ('headers' | 'body')[]
}

/**
 * The switches of each gateway, all documented. LiteLLM's and Portkey's are tried on the real ones
 * in `test/companions/gateways`. Only names stand here; what is done with them is the same for all.
 */
const GATEWAYS: Readonly<Record<GatewayName, KnownGateway>> = {
  // Header: LiteLLM proxy docs, 'Request Headers'; body: 'Fallbacks', disable_fallbacks;
  // response: 'Response Headers', retries and fallbacks after the first attempt.
  litellm: {
    name: 'litellm',
    headers: { 'x-litellm-num-retries': '0' },
    body: () => ({ disable_fallbacks: true }),
    stopsFallbacks: ['body'],
    further: ({ headers }) => ({
      retries: count(readHeader(headers, 'x-litellm-attempted-retries')),
      fallbacks: count(readHeader(headers, 'x-litellm-attempted-fallbacks')),
    }),
  },
  // Config object: Portkey docs, 'Automatic Retries'. One config replaces another, and holds the
  // fallbacks too. The count (gateway 1.15, `retryCount` in `handlers/handlerUtils.ts`): 3
  // is four requests, and -1 says that all that were allowed are spent.
  portkey: {
    name: 'portkey',
    headers: { 'x-portkey-config': '{"retry":{"attempts":0}}' },
    stopsFallbacks: ['headers'],
    further({ headers, sent }) {
      const said = readHeader(headers, 'x-portkey-retry-attempt-count')
      if (said !== '-1') return { retries: count(said) }
      // Portkey says so only where one or more were allowed: a config that allows none, or that is
      // only named in the request, was not the one in force, or not to be read.
      return { retries: Math.max(1, allowedByPortkey(readHeader(sent, 'x-portkey-config'))) }
    },
  },
  // Helicone docs, 'Retries': off unless asked for, and some versions take any value for a yes.
  helicone: { name: 'helicone', headers: {}, switchesOn: ['helicone-retry-enabled'] },
  // Cloudflare docs, AI Gateway, 'Request handling': attempts in all, overriding the gateway's own
  // setting (changelog of 2026-04-02). It does not say how many it made.
  cloudflare: { name: 'cloudflare', headers: { 'cf-aig-max-attempts': '1' } },
  // OpenRouter docs, 'Provider Routing' and 'Router Metadata'; an error names those before it.
  openrouter: {
    name: 'openrouter',
    headers: { 'x-openrouter-metadata': 'enabled' },
    body(given) {
      const provider = readProperty(given, 'provider') ?? {}
      // What is no object is the caller's mistake, and OpenRouter's to refuse.
      return typeof provider === 'object'
        ? { provider: { allow_fallbacks: false, ...provider } }
        : {}
    },
    stopsFallbacks: ['body'],
    further({ body }) {
      const { length } = readItems(
        readProperty(readProperty(readProperty(body, 'error'), 'metadata'), 'previous_errors'),
        MAX_ATTEMPTS,
      )
      if (length > 0) return { fallbacks: length }
      const attempt = readProperty(readProperty(body, 'openrouter_metadata'), 'attempt')
      return { fallbacks: Number.isInteger(attempt) ? Number(attempt) - 1 : undefined }
    },
  },
}

/** The gateway of a setting, without the parts of its off-switch that the setting does not want. */
export function gatewayOf(option: GatewayOption | undefined): Gateway | undefined {
  if (option === undefined) return undefined
  const { name, fallbacks = 'off' } = typeof option === 'string' ? { name: option } : option
  return fallbacks === 'keep' ? KEEPING[name] : GATEWAYS[name]
}

/** `GATEWAYS`, told to keep their fallbacks. Made once, not for each call. */
const KEEPING: Readonly<Record<GatewayName, Gateway>> = {
  litellm: keeping(GATEWAYS.litellm),
  portkey: keeping(GATEWAYS.portkey),
  helicone: keeping(GATEWAYS.helicone),
  cloudflare: keeping(GATEWAYS.cloudflare),
  openrouter: keeping(GATEWAYS.openrouter),
}

function keeping({ headers, body, stopsFallbacks = [], ...rest }: KnownGateway): Gateway {
  return {
    ...rest,
    headers: stopsFallbacks.includes('headers') ? {} : headers,
    ...(body !== undefined && !stopsFallbacks.includes('body') && { body }),
    keepsFallbacks: true,
  }
}

// A count beyond this is nonsense, and the report must not repeat it.
const MAX_ATTEMPTS = 1_000

/** A header's number of retries: digits, nothing else. */
function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,4}$/.test(text) ? Number(text) : undefined
}

/** The retries that a Portkey config of this request allows; 0 where it cannot be read. */
function allowedByPortkey(config: string | undefined): number {
  const attempts = readProperty(readProperty(parseObject(config ?? ''), 'retry'), 'attempts')
  return Number.isInteger(attempts) && Number(attempts) <= MAX_ATTEMPTS ? Number(attempts) : 0
}

/** What the gateway says it did, as facts of the answer; nothing where it did not say. */
export function gatewayFacts(
  gateway: Gateway | undefined,
  seen: GatewayAnswer,
): Pick<AnswerFacts, 'gatewayAttempts' | 'gatewayMultiplied'> {
  const { retries, fallbacks } = gateway?.further?.(seen) ?? {}
  if (retries === undefined && fallbacks === undefined) return {}
  const attempts = 1 + (retries ?? 0) + (fallbacks ?? 0)
  if (attempts < 1 || attempts > MAX_ATTEMPTS) return {}
  const isMultiplied = gateway?.keepsFallbacks === true ? (retries ?? 0) > 0 : attempts > 1
  return { gatewayAttempts: attempts, ...(isMultiplied && { gatewayMultiplied: true }) }
}

/** The body with the gateway's off-switch beneath what the caller set. */
export function throughGateway<Body extends object>(
  gateway: Gateway | undefined,
  body: Body,
): Body {
  if (gateway?.body === undefined) return body
  const own = gateway.body(body)
  // `provider` was merged above, the others are the caller's where they are set.
  return { ...own, ...body, ...('provider' in own && { provider: own['provider'] }) }
}

/** By what an answer shows that a gateway has handled it, and a request that its retries are seen to. */
interface GatewaySign {
  readonly name: GatewayName
  /** How names of its own response headers begin. */
  readonly marks: readonly string[]
  /** Request headers that set its retries: the caller has decided about them. */
  readonly decides: readonly string[]
  /** Its retries are off unless one of these is sent. */
  readonly isOffWithout?: string
  /** A header of a name that others might use too, by what its value has to begin with. */
  readonly markedBy?: readonly [name: string, start: string]
  /** The answer itself says that no retry is allowed. */
  readonly saysOff?: (headers: Headers) => boolean
}

// Names from the gateways' pages on response headers; LiteLLM's and Portkey's seen on the real ones.
const SIGNS: readonly GatewaySign[] = [
  {
    name: 'litellm',
    marks: ['x-litellm-'],
    decides: ['x-litellm-num-retries'],
    saysOff: (headers) => headers.get('x-litellm-max-retries') === '0',
  },
  { name: 'portkey', marks: ['x-portkey-'], decides: ['x-portkey-config'] },
  {
    name: 'helicone',
    marks: ['helicone-'],
    decides: [],
    isOffWithout: 'helicone-retry-enabled',
  },
  { name: 'cloudflare', marks: ['cf-aig-'], decides: ['cf-aig-max-attempts'] },
  {
    name: 'openrouter',
    marks: ['x-openrouter-'],
    markedBy: ['x-generation-id', 'gen-'],
    decides: [],
  },
]

/**
 * Warns once for each gateway that is seen in answers and was not named. `sent` are the headers of
 * the request.
 */
export function noticeGateway(runtime: Runtime, headers: Headers, sent: Headers | undefined): void {
  const names = [...headers.keys()]
  for (const sign of SIGNS) {
    if (!isMarked(sign, names, headers)) continue
    if (seemsOff(sign, headers, sent)) continue
    warnOnce(
      runtime,
      'STEADYCALL_GATEWAY_NOT_NAMED',
      `Answers come through ${sign.name}, whose own retries and fallbacks multiply with ours. ` +
        `Give steady() the option gateway: '${sign.name}', or ` +
        `gateway: { name: '${sign.name}', fallbacks: 'keep' } where its fallbacks are wanted.`,
      sign.name,
    )
  }
}

function isMarked(
  { marks, markedBy }: GatewaySign,
  names: readonly string[],
  headers: Headers,
): boolean {
  if (names.some((name) => marks.some((mark) => name.startsWith(mark)))) return true
  return markedBy !== undefined && headers.get(markedBy[0])?.startsWith(markedBy[1]) === true
}

function seemsOff(
  { decides, isOffWithout, saysOff }: GatewaySign,
  headers: Headers,
  sent?: Headers,
) {
  if (decides.some((name) => sent?.has(name))) return true
  if (isOffWithout !== undefined && sent?.has(isOffWithout) !== true) return true
  return saysOff?.(headers) === true
}
