import { currentWire } from '../call/nesting.ts'
import type { Exchange, Wire } from '../call/task.ts'
import { isObject, readProperty } from '../errors/hostile.ts'
import { limitIn } from '../errors/runtime-limits.ts'
import { EventWatch } from '../stream/watch.ts'
import { type Bounds, isSignal } from '../time.ts'
import type { ChatClient } from './chat-client.ts'
import { isFacade, ownValue } from './facade.ts'
import type { CallTarget, Gateway } from './targets.ts'
import { isRefused } from './unsendable.ts'

/**
 * What was really seen on the wire during one attempt. Reached through a symbol in the request's
 * `fetchOptions`, which openai hands on to `fetch`, so that no request of any other code is touched.
 */
export class WireRecord implements Wire {
  readonly retryCount: string
  /** Calls of `fetch` with this record. */
  fetches = 0
  /** Requests undici opened in this attempt's context; sees what a retrying `fetch` hides. */
  sockets = 0
  /** Where the first of these went: a redirect to elsewhere is no retry. */
  socketUrl: string | undefined = undefined
  /** Sent again after a 401 with a fresh token: the SDK's own doing, even at `maxRetries: 0`. */
  tokenReplays = 0
  /** Something else raised the retry-count header that we set. */
  foreignRetryCount = false
  status: number | undefined = undefined
  headers: Headers | undefined = undefined
  /** Of the request, as openai gave them to `fetch`. */
  sent: Headers | undefined = undefined
  /** The body of an error response, as it came, at most `MAX_ERROR_BODY_BYTES`. */
  errorBody: string | undefined = undefined
  /** What the observer adds to the request; see `isObserved`. */
  carried: Carried | undefined = undefined
  /** What the client's promise comes to is the data with its response. */
  givesResponse = false
  /** Of a request with something carried: the answer, until it has been taken. */
  response: Response | undefined = undefined
  /** The text that is sent is wanted, to send it again. */
  keepsBody = false
  /** That text. */
  body: string | undefined = undefined
  /** The answer is read here, as a stream: its bytes are of interest. */
  isStreamed = false
  /** What they show; of the last answer. */
  events: EventWatch | undefined = undefined
  /** The last answer to such a request had no body at all, as under 204. */
  isBodiless = false
  /** Where the request was to go. */
  url: string | undefined = undefined
  /** A code for what is wrong with it, where no request can be made of it. */
  refusal: string | undefined = undefined
  /** The code of the runtime's own limit that ended it. */
  limitCode: string | undefined = undefined

  /** Of the attempt with this number. */
  constructor(attempt: number) {
    this.retryCount = String(attempt - 1)
  }

  get requests(): number | undefined {
    const seen = Math.max(this.fetches, this.sockets)
    return seen === 0 ? undefined : seen
  }

  get isMultiplied(): boolean {
    return (this.requests ?? 1) - this.tokenReplays > 1 || this.foreignRetryCount
  }
}

/** The record of an attempt that one of our tasks sends. */
export function wireOf({ wire }: Pick<Exchange, 'wire'>): WireRecord {
  if (wire instanceof WireRecord) return wire
  throw new Error('An attempt at a client needs a record of its wire')
}

/** By its fields: the attempt may be one of another copy of the package, with a class of its own. */
function isWireRecord(wire: unknown): wire is WireRecord {
  return typeof readProperty(wire, 'sockets') === 'number'
}

/** What belongs to a request and need not go through openai's own options. */
export interface Carried {
  /** The request is made under their signal. */
  readonly bounds: Bounds
  /** The `Idempotency-Key` header, unless the caller sets it. */
  readonly idempotencyKey: string | undefined
}

/** Also tells an inner steadycall layer that `maxRetries: 0` was set by an outer one. */
export const WIRE: unique symbol = Symbol.for('steadycall.wire.v1')

type Fetch = (url: unknown, init?: object) => Promise<Response>

const OBSERVED = Symbol.for('steadycall.observed.v1')

/** What is known of an observed `fetch`. */
interface ObservedFetch {
  /** A request of ours has come by, in the form that openai gives it. */
  seen: boolean
  /** The client's own, under the observer. */
  readonly original: unknown
}

/**
 * Puts the observer around the client's own `fetch`, once and in place: a derived client would lose
 * credentials set later, and some client kinds refuse to be derived. Without our symbol in a
 * request's options it only passes the call on.
 */
export function observeClient(client: object): void {
  watchSockets()
  const original = ownValue(client, 'fetch')
  if (typeof original !== 'function' || Reflect.has(original, OBSERVED)) return
  const state: ObservedFetch = { seen: false, original }
  // openai calls it with undefined as `this`, and so do we
  const fetch: Fetch = (url, init) => Reflect.apply(original, undefined, [url, init])
  const observed: Fetch = (url, init) => {
    const wire: unknown = init === undefined ? undefined : Reflect.get(init, WIRE)
    if (init === undefined || wire === undefined) return fetch(url, init)
    state.seen = Reflect.get(init, 'headers') instanceof Headers
    // Only openai/send.ts sets the symbol, to a WireRecord of this copy of the package or another.
    return observedFetch(fetch, url, init, wire as WireRecord)
  }
  Object.defineProperty(observed, OBSERVED, { value: state })
  Reflect.set(client, 'fetch', observed)
}

/**
 * Do this client's requests come by here? Known from its first one on: some kinds of client have a
 * `fetch` of their own. Then what belongs to a request can be added here, instead of going through
 * openai's own options, where a signal costs a composed one and a header is built twice.
 */
export function isObserved(client: object): boolean {
  // A wrapped client makes requests of its own for each of ours.
  if (isFacade(client)) return false
  return observedState(readProperty(client, 'fetch'))?.seen === true
}

/** The client's `fetch` without the observer around it. */
export function ownFetch(client: object): unknown {
  const fetch = readProperty(client, 'fetch')
  return observedState(fetch)?.original ?? fetch
}

function observedState(fetch: unknown): ObservedFetch | undefined {
  const state = readProperty(fetch, OBSERVED)
  // Only `observeClient` sets the symbol, to such a state; a double may answer any key.
  return typeof readProperty(state, 'seen') === 'boolean' ? (state as ObservedFetch) : undefined
}

/** Will the text of this client's requests come by here? */
export function seesBodies(client: object): boolean {
  if (isFacade(client)) return false
  return observedState(readProperty(client, 'fetch')) !== undefined
}

async function observedFetch(
  fetch: Fetch,
  url: unknown,
  init: object,
  wire: WireRecord,
): Promise<Response> {
  const { carried } = wire
  carried?.bounds.signal.throwIfAborted()
  noteSending(url, init, wire)
  const sent = carried === undefined ? init : underBounds(init, carried.bounds)
  let response: Response
  try {
    response = await fetch(url, sent)
  } catch (error) {
    const isUnseen = wire.sockets === 0 && wire.fetches === 1
    if (isUnseen && isRefused(error, url, sent)) wire.refusal = 'invalid_option'
    wire.limitCode = limitIn(error)
    throw error
  }
  wire.status = response.status
  wire.headers = response.headers
  if (!response.ok) return keepErrorBody(response, wire)
  if (carried !== undefined) wire.response = response
  if (wire.isStreamed) {
    wire.events = watchBody(response.body)
    wire.isBodiless = response.body === null
  }
  return response
}

/** What is seen of a request before it goes out, and the key that it carries. */
function noteSending(url: unknown, init: object, wire: WireRecord): void {
  wire.fetches++
  if (typeof url === 'string') wire.url = url
  if (wire.status === 401) wire.tokenReplays++
  if (wire.keepsBody) {
    const body: unknown = Reflect.get(init, 'body')
    if (typeof body === 'string') wire.body = body
  }
  const headers: unknown = Reflect.get(init, 'headers')
  if (headers instanceof Headers) {
    wire.sent = headers
    const count = headers.get('x-stainless-retry-count')
    if (count !== null && count !== wire.retryCount) wire.foreignRetryCount = true
    if (wire.carried?.idempotencyKey !== undefined) {
      headers.set('idempotency-key', wire.carried.idempotencyKey)
    }
  }
}

/** The request under the attempt's signal, which openai's own limits end as well. */
function underBounds(init: object, bounds: Bounds): object {
  const own: unknown = Reflect.get(init, 'signal')
  if (isSignal(own)) bounds.follow(own)
  return { ...init, signal: bounds.signal }
}

// Providers' error bodies are a few kilobytes; openai reads them whole, however long they are.
const MAX_ERROR_BODY_BYTES = 256 * 1024

/** Reads an error's body, keeps it, and hands on an equal response. */
async function keepErrorBody(response: Response, wire: WireRecord): Promise<Response> {
  const body = await readCapped(response)
  wire.errorBody = body
  const { status, statusText, headers, url } = response
  const decoded = new Headers([...headers])
  // The text below is decoded already.
  decoded.delete('content-encoding')
  decoded.delete('content-length')
  const empty = status === 204 || status === 205 || status === 304
  const rebuilt = new Response(empty ? null : body, { status, statusText, headers: decoded })
  Object.defineProperty(rebuilt, 'url', { value: url })
  return rebuilt
}

async function readCapped(response: Response): Promise<string> {
  const { body } = response
  // A custom fetch may answer with a body of another kind, which only text() can read.
  if (typeof body?.getReader !== 'function') {
    return (await response.text()).slice(0, MAX_ERROR_BODY_BYTES)
  }
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return text + decoder.decode()
      bytes += value.byteLength
      text += decoder.decode(value, { stream: true })
      if (bytes > MAX_ERROR_BODY_BYTES) {
        await reader.cancel()
        return text.slice(0, MAX_ERROR_BODY_BYTES)
      }
    }
  } catch {
    // The status has arrived: what came of the body is evidence enough.
    return text
  }
}

const SOCKETS = Symbol.for('steadycall.sockets.v1')

/**
 * Counts the requests that undici, Node's own HTTP client, opens in an attempt's context. Where
 * there is no such channel (Bun, Deno, Workers) the observer around `fetch` counts alone.
 */
function watchSockets(): void {
  if (Reflect.has(globalThis, SOCKETS)) return
  Object.defineProperty(globalThis, SOCKETS, { value: true })
  const channels = globalThis.process?.getBuiltinModule?.('node:diagnostics_channel')
  channels?.subscribe('undici:request:create', (message) => {
    const wire = currentWire()
    if (!isWireRecord(wire) || typeof message !== 'object' || message === null) return
    const request: unknown = Reflect.get(message, 'request')
    if (typeof request !== 'object' || request === null) return
    if (Reflect.get(request, 'method') !== 'POST') return
    const url = `${Reflect.get(request, 'origin')}${Reflect.get(request, 'path')}`
    wire.socketUrl ??= url
    if (wire.socketUrl === url) wire.sockets++
  })
}

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
  const said = Object.entries(own).filter(([, value]) => value !== undefined)
  if (all.length === 0) return said.length > 0 ? Object.fromEntries(said) : undefined
  const isOwn = (name: unknown) => Object.hasOwn(own, String(name).toLowerCase())
  const pairs = nested ? all.filter(([name]) => !isOwn(name)) : all
  const taken = new Set(pairs.map(([name]) => String(name).toLowerCase()))
  return [...said.filter(([name]) => !taken.has(name)), ...pairs]
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

/**
 * Watches a stream's body on its way to openai's decoder. The body stays what it is; only its being
 * read is looked at, through a reader (openai 7) or as an iterable (openai 6, and bodies that are
 * Node's own streams). Undefined where it can be read in neither way, or not be looked at.
 */
function watchBody(body: unknown): EventWatch | undefined {
  const watch = new EventWatch()
  const watchReads = (source: unknown, method: string) => {
    const look = (next: IteratorResult<unknown>) => {
      const bytes = bytesOf(next.value)
      if (bytes !== undefined) watch.see(bytes)
      return next
    }
    // What both methods return, in every kind of body.
    intercept(source, method, (reading) => (reading as Promise<IteratorResult<unknown>>).then(look))
    return source
  }
  const isRead = intercept(body, 'getReader', (reader) => watchReads(reader, 'read'))
  const isIterated = intercept(body, Symbol.asyncIterator, (chunks) => watchReads(chunks, 'next'))
  return isRead || isIterated ? watch : undefined
}

/** Lets `look` see, and replace, what a method of this one object returns. */
function intercept(
  target: unknown,
  name: string | symbol,
  look: (result: unknown) => unknown,
): boolean {
  if (typeof target !== 'object' || target === null) return false
  const method: unknown = Reflect.get(target, name)
  if (typeof method !== 'function') return false
  const value = (...given: unknown[]) => look(Reflect.apply(method, target, given))
  return Reflect.defineProperty(target, name, { value, configurable: true, writable: true })
}

/** A piece of a body, of each kind that openai's decoder takes. */
function bytesOf(piece: unknown): Uint8Array | undefined {
  if (piece instanceof Uint8Array) return piece
  if (typeof piece === 'string') return new TextEncoder().encode(piece)
  return piece instanceof ArrayBuffer ? new Uint8Array(piece) : undefined
}
