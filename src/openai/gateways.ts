import type { AnswerFacts } from '../call/task.ts'
import { parseObject } from '../errors/embedded-json.ts'
import { type HeaderSource, readHeader, readItems, readProperty } from '../errors/hostile.ts'
import type { GatewayName, GatewayOption } from '../options/nested-options.ts'

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
