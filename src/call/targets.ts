import { hash } from 'node:crypto'
import type { FailureKind } from '../errors/failure-kinds.ts'
import { readProperty } from '../errors/hostile.ts'
import { DEFAULT_FALLBACK_ON, type Fallback } from '../options.ts'
import type { TargetSettings, TargetState } from '../retry/target-state.ts'
import { isFacade, layersOf, rawClient } from './facade.ts'
import type { Gateway } from './gateways.ts'
import { currentScope, outsideScopes } from './nesting.ts'
import { type Runtime, targetState } from './runtime.ts'
import { observeClient } from './wire-observer.ts'

/** What steadycall needs of an openai client; `OpenAI`, `AzureOpenAI` and subclasses have it. */
export interface ChatClient {
  readonly baseURL: string
  readonly maxRetries: number
  readonly timeout: number
  readonly chat: {
    readonly completions: { create(body: never, options?: never): PromiseLike<unknown> }
  }
}

/** openai's error classes, as found on a client's own constructor. */
export interface ErrorClasses {
  readonly APIError: new (
    status: number | undefined,
    error: object | undefined,
    message: string | undefined,
    headers: Headers | undefined,
  ) => Error
  readonly APIConnectionError: new (init: { message?: string; cause?: Error }) => Error
  readonly APIConnectionTimeoutError: new (init: { message?: string }) => Error
  readonly APIUserAbortError: new (init: { message?: string }) => Error
}

const ERROR_CLASSES = [
  'APIError',
  'APIConnectionError',
  'APIConnectionTimeoutError',
  'APIUserAbortError',
] as const

/**
 * Checks that this is an openai client and prepares it, once, in place: its `fetch` is observed,
 * and inside a steadycall attempt its `maxRetries` reads 0, so that the SDK's own retries never
 * multiply ours. Outside of one, nothing changes for anybody who holds the client.
 * @throws {TypeError} naming what is missing.
 */
export function prepareClient(where: string, client: unknown): asserts client is ChatClient {
  if (typeof client !== 'object' || client === null) {
    throw new TypeError(
      `${where} must be an openai client, got ${client === null ? 'null' : typeof client}`,
    )
  }
  const create = readProperty(readProperty(readProperty(client, 'chat'), 'completions'), 'create')
  const missing =
    typeof create !== 'function'
      ? 'chat.completions.create'
      : ERROR_CLASSES.find((name) => typeof readProperty(client.constructor, name) !== 'function')
  if (missing !== undefined) {
    const shown = missing.startsWith('chat') ? missing : `constructor.${missing}`
    throw new TypeError(`${where} must be an openai client: ${shown} is missing`)
  }
  if (isFacade(client)) return
  observeClient(client)
  neutraliseRetries(client)
}

/** openai's error classes of this client; `prepareClient` has proved that they are there. */
export function errorClasses(client: ChatClient): ErrorClasses {
  return client.constructor as unknown as ErrorClasses
}

/**
 * One of openai's classes for what went wrong with a request, its credentials' own requests among
 * them. Their common base by itself says that something was not as it should be on this side.
 */
export function isRequestError(error: unknown, client: ChatClient): boolean {
  if (error instanceof errorClasses(client).APIError) return true
  const base: unknown = readProperty(client.constructor, 'OpenAIError')
  return isInstance(error, base) && readProperty(error, 'constructor') !== base
}

function isInstance(error: unknown, maker: unknown): boolean {
  return typeof maker === 'function' && error instanceof maker
}

/** On a prepared client: `maxRetries` as its owner set it, whatever scope we are read in. */
const OWN_RETRIES = Symbol.for('steadycall.own-retries.v1')

function neutraliseRetries(client: object): void {
  const descriptor = Object.getOwnPropertyDescriptor(client, 'maxRetries')
  // Ours already, also through another copy of the package; or frozen: then the per-request option
  // does the work alone.
  if (descriptor?.configurable !== true || !('value' in descriptor)) return
  const own: { maxRetries: unknown } = { maxRetries: descriptor.value }
  Object.defineProperty(client, OWN_RETRIES, { value: own })
  const withOptions: unknown = Reflect.get(client, 'withOptions')
  if (typeof withOptions === 'function') {
    // A client derived inside a scope must inherit its owner's retries, not the 0 of the scope.
    const value = (...args: unknown[]): unknown =>
      outsideScopes(() => Reflect.apply(withOptions, client, args))
    Object.defineProperty(client, 'withOptions', { configurable: true, writable: true, value })
  }
  Object.defineProperty(client, 'maxRetries', {
    configurable: true,
    enumerable: true,
    get: () => (currentScope() === undefined ? own.maxRetries : 0),
    set: (value: unknown) => {
      own.maxRetries = value
    },
  })
}

// openai-node's DEFAULT_MAX_RETRIES: indistinguishable from "not set", so it is not a wish.
const SDK_DEFAULT_MAX_RETRIES = 2

/** `maxRetries + 1` when the client's owner set something else than the SDK's default. */
export function clientAttempts(client: ChatClient): number | undefined {
  const raw = rawClient(client)
  const maxRetries = readProperty(readProperty(raw, OWN_RETRIES) ?? raw, 'maxRetries')
  return maxRetries === SDK_DEFAULT_MAX_RETRIES ? undefined : attemptsFor(maxRetries)
}

// The upper end of maxAttempts.
const MOST_ATTEMPTS = 10

/** openai's `maxRetries` as our `maxAttempts`: who switched retries off gets none. */
export function attemptsFor(maxRetries: unknown): number | undefined {
  if (typeof maxRetries !== 'number' || !Number.isInteger(maxRetries)) return undefined
  return Math.min(Math.max(maxRetries, 0) + 1, MOST_ATTEMPTS)
}

/** Where an attempt goes: host, model and credential, with what we know of their health. */
export interface CallTarget {
  /** `host model`, for reports and events. */
  readonly name: string
  readonly host: string
  readonly port: number | undefined
  readonly model: string
  readonly client: ChatClient
  /** The gateway it goes through, where one was named. */
  readonly gateway?: Gateway
  readonly state: TargetState
  /** Failure kinds that lead here from the target before. */
  readonly on: ReadonlySet<FailureKind>
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
  const { host, port } = endpoint
  if (endpoint.last.model !== model) endpoint.last = namesOf(host, endpoint.prefix, model)
  const { name } = endpoint.last
  const state = targetState(runtime, endpoint.last, settings)
  return { name, host, port, model, client, state, on }
}

interface Endpoint {
  readonly baseURL: unknown
  readonly apiKey: unknown
  readonly host: string
  readonly port: number | undefined
  /** Host, credential and layer: what a target's budget belongs to, besides the model. */
  readonly prefix: string
  /** Of the model asked for last: most clients have one. */
  last: { readonly model: string; readonly name: string; readonly key: string }
}

const endpoints = new WeakMap<object, Endpoint>()

/** Parsed once per client, and again when its URL or key has changed. */
function endpointOf(client: ChatClient): Endpoint {
  const { baseURL } = client
  const apiKey = readProperty(client, 'apiKey')
  const known = endpoints.get(client)
  if (known !== undefined && known.baseURL === baseURL && known.apiKey === apiKey) return known
  const url = URL.parse(baseURL)
  const host = url?.hostname ?? 'unknown'
  const port = url === null ? undefined : Number(url.port) || (url.protocol === 'http:' ? 80 : 443)
  const credential = typeof apiKey === 'string' ? hash('sha256', apiKey).slice(0, 12) : 'none'
  // The layers of a client that is wrapped twice meet the same failures, each with a breaker and
  // places of its own: the outer one must not hold what the inner one waits for.
  const prefix = `${host}:${port} ${credential} ${layersOf(client)}`
  const last = namesOf(host, prefix, '')
  const endpoint: Endpoint = { baseURL, apiKey, host, port, prefix, last }
  endpoints.set(client, endpoint)
  return endpoint
}

function namesOf(host: string, prefix: string, model: string): Endpoint['last'] {
  return { model, name: `${host} ${model}`, key: `${prefix} ${model}` }
}

// Values of gen_ai.provider.name in the GenAI semantic conventions 1.41, by host.
const PROVIDERS: readonly (readonly [suffix: string, name: string])[] = [
  ['.openai.azure.com', 'azure.ai.openai'],
  ['.services.ai.azure.com', 'azure.ai.inference'],
  ['api.groq.com', 'groq'],
  ['api.deepseek.com', 'deepseek'],
  ['api.mistral.ai', 'mistral_ai'],
  ['api.x.ai', 'x_ai'],
  ['api.perplexity.ai', 'perplexity'],
  ['generativelanguage.googleapis.com', 'gcp.gemini'],
  ['api.anthropic.com', 'anthropic'],
]

/** The telemetry flavour of a host; `openai` for all that speak its protocol under other names. */
export function providerName(host: string): string {
  return PROVIDERS.find(([suffix]) => host.endsWith(suffix))?.[1] ?? 'openai'
}
