import { isObject, readProperty } from '../errors/hostile.ts'
import { withoutUndefined } from '../without-undefined.ts'
import type { ChatClient } from './chat-client.ts'
import type { Gateway } from './gateways.ts'
import type { CallTarget } from './targets.ts'

/** The gateway's switches, but for those that the client itself sets for all its requests. */
export function gatewayHeaders(target: CallTarget | undefined): Readonly<Record<string, string>> {
  if (target?.gateway === undefined) return {}
  const taken = defaultHeaderNames(target.client)
  return Object.fromEntries(
    Object.entries(target.gateway.headers).filter(([name]) => !taken.has(name)),
  )
}

/** openai keeps the options a client was built with; none of this class is public. */
function defaultHeaderNames(client: ChatClient): ReadonlySet<string> {
  const given = readProperty(readProperty(client, '_options'), 'defaultHeaders')
  return new Set(headerPairs(given).map(([name]) => String(name).toLowerCase()))
}

/** Do the caller's own headers switch the gateway's retries on? */
export function switchesGatewayOn(
  gateway: Gateway,
  client: ChatClient,
  requestHeaders: unknown,
): boolean {
  const { switchesOn = [] } = gateway
  if (switchesOn.length === 0) return false
  const sent = new Set([
    ...defaultHeaderNames(client),
    ...headerPairs(requestHeaders).map(([name]) => String(name).toLowerCase()),
  ])
  return switchesOn.some((name) => sent.has(name))
}

/**
 * The caller's headers with ours beneath, if there are any: a caller that sets one of these names
 * keeps it, unless that was an outer steadycall layer, whose count and key are not those of our
 * attempts.
 */
export function withOwnHeaders(
  given: unknown,
  nested: boolean,
  own: Readonly<Record<string, string | undefined>>,
): unknown {
  const all = headerPairs(given)
  const said = withoutUndefined(own)
  if (all.length === 0) return Object.keys(said).length > 0 ? said : undefined
  const isOwn = (name: unknown) => Object.hasOwn(own, String(name).toLowerCase())
  const pairs = nested ? all.filter(([name]) => !isOwn(name)) : all
  const taken = new Set(pairs.map(([name]) => String(name).toLowerCase()))
  return [...Object.entries(said).filter(([name]) => !taken.has(name)), ...pairs]
}

/** Do the caller's own headers set or remove it? */
export function hasHeader(given: unknown, name: string): boolean {
  return headerPairs(given).some(([own]) => String(own).toLowerCase() === name)
}

// Names by which senders and tracers tell one sending of a request from another.
const OF_ONE_SENDING =
  /^x-stainless-|idempotency|request-?id|correlation|traceparent|tracestate|trace-?id|span-?id|baggage|retry|attempt|timestamp|^date$/

/** The headers that a request has each time it is sent, in an order of their own. */
export function lastingHeaders(given: unknown): readonly (readonly string[])[] {
  return headerPairs(given)
    .map(([name, ...values]) => [String(name).toLowerCase(), ...values.map(String)])
    .filter(([name = '']) => !OF_ONE_SENDING.test(name))
    .toSorted(([a = ''], [b = '']) => (a < b ? -1 : a > b ? 1 : 0))
}

/** openai takes headers as an object, pairs, `Headers`, or its own class with the removed apart. */
function headerPairs(given: unknown): readonly (readonly unknown[])[] {
  if (given instanceof Headers || Array.isArray(given)) return [...given]
  if (!isObject(given)) return []
  const { values, nulls }: { values?: unknown; nulls?: unknown } = given
  if (values instanceof Headers && nulls instanceof Set) {
    return [...values, ...[...nulls].map((name) => [name, null])]
  }
  return Object.entries(given)
}
