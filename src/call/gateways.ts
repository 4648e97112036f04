import { type HeaderSource, readHeader, readItems, readProperty } from '../errors/hostile.ts'
import type { AnswerFacts } from './job.ts'

/** A gateway whose own retries can be switched off. */
export type GatewayName = 'litellm' | 'portkey' | 'helicone' | 'cloudflare' | 'openrouter'

/** What a gateway said about one request. */
interface Seen {
  readonly headers: HeaderSource | undefined
  /** The parsed body: a completion, the last chunk of a stream, or an error. */
  readonly body: unknown
}

/** How one gateway is told to leave retries to us, and how it says what it did. */
export interface Gateway {
  /** Headers of its off-switch; one that the caller sets himself wins. Lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Headers that switch its retries on: with one of them the caller has two layers. */
  readonly switchesOn?: readonly string[]
  /** Members of its off-switch in the body; what the caller sets himself wins. */
  readonly body?: (given: unknown) => Readonly<Record<string, unknown>>
  /** Requests it made upstream for this one: 1 when it did not retry. */
  readonly attempts?: (seen: Seen) => unknown
}

/**
 * The switches of each gateway, all documented, none of them verified here on a live one. Only
 * names stand here; what is done with them is the same for all.
 */
export const GATEWAYS: Readonly<Record<GatewayName, Gateway>> = {
  // Header: LiteLLM proxy docs, 'Request Headers'; body: 'Fallbacks', disable_fallbacks;
  // response: 'Response Headers', retries and fallbacks after the first attempt.
  litellm: {
    headers: { 'x-litellm-num-retries': '0' },
    body: () => ({ disable_fallbacks: true }),
    attempts({ headers }) {
      const retries = count(readHeader(headers, 'x-litellm-attempted-retries'))
      const fallbacks = count(readHeader(headers, 'x-litellm-attempted-fallbacks'))
      if (retries === undefined && fallbacks === undefined) return undefined
      return 1 + (retries ?? 0) + (fallbacks ?? 0)
    },
  },
  // Config object: Portkey docs, 'Automatic Retries'; response: 'Response schema', where 3 means
  // four requests, and -1 that all retries were spent, however many those were.
  portkey: {
    headers: { 'x-portkey-config': '{"retry":{"attempts":0}}' },
    attempts({ headers }) {
      const retries = count(readHeader(headers, 'x-portkey-retry-attempt-count'))
      return retries === undefined ? undefined : 1 + retries
    },
  },
  // Helicone docs, 'Retries': off unless asked for, and some versions take any value for a yes.
  helicone: { headers: {}, switchesOn: ['helicone-retry-enabled'] },
  // Cloudflare docs, AI Gateway, 'Request handling': attempts in all, overriding the gateway's own
  // setting (changelog of 2026-04-02). It does not say how many it made.
  cloudflare: { headers: { 'cf-aig-max-attempts': '1' } },
  // OpenRouter docs, 'Provider Routing' and 'Router Metadata'; an error names those before it.
  openrouter: {
    headers: { 'x-openrouter-metadata': 'enabled' },
    body(given) {
      const provider = readProperty(given, 'provider') ?? {}
      // What is no object is the caller's mistake, and OpenRouter's to refuse.
      return typeof provider === 'object'
        ? { provider: { allow_fallbacks: false, ...provider } }
        : {}
    },
    attempts({ body }) {
      const { length } = readItems(
        readProperty(readProperty(readProperty(body, 'error'), 'metadata'), 'previous_errors'),
        MAX_ATTEMPTS,
      )
      if (length > 0) return 1 + length
      return readProperty(readProperty(body, 'openrouter_metadata'), 'attempt')
    },
  },
}

// A count beyond this is nonsense, and the report must not repeat it.
const MAX_ATTEMPTS = 1_000

/** A header's number of retries: digits, nothing else. */
function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,4}$/.test(text) ? Number(text) : undefined
}

/** What the gateway says it did, as a fact of the answer; nothing where it did not say. */
export function gatewayFacts(
  gateway: Gateway | undefined,
  headers: HeaderSource | undefined,
  body: unknown,
): Pick<AnswerFacts, 'gatewayAttempts'> {
  const attempts = gateway?.attempts?.({ headers, body })
  return Number.isInteger(attempts) && Number(attempts) >= 1 && Number(attempts) <= MAX_ATTEMPTS
    ? { gatewayAttempts: Number(attempts) }
    : {}
}

/** The body with the gateway's off-switch beneath what the caller set. */
export function throughGateway<Body extends object>(
  gateway: Gateway | undefined,
  body: Body,
): Body {
  if (gateway?.body === undefined) return body
  const own = gateway.body(body)
  // `provider` was merged above, the others are the caller's where he set them.
  return { ...own, ...body, ...('provider' in own && { provider: own['provider'] }) }
}
