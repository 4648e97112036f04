import {
  type Checks,
  checkOptions,
  duration,
  integer,
  objectWith,
  trueOrFalse,
} from '../options/option-check.ts'
import { emitProcessWarning, processWide } from '../process-wide.ts'
import { ACCEPT_ENCODING } from './codings.ts'
import { type Dispatcher, isDispatcher, ProcessDispatcher } from './dispatcher.ts'
import { FetchDispatcher } from './fetch-dispatcher.ts'
import { Destinations, type PlainRequest, plainRequest } from './request.ts'
import { send } from './transfer.ts'

export type { Dispatcher } from './dispatcher.ts'

/** All are optional. The connection options make an agent of this fetch's own. */
export interface DirectFetchOptions {
  /**
   * Sends the requests: an `Agent`, `ProxyAgent`, … of npm's undici 7 or 8. Not with `connections`,
   * `keepAliveMs` or `allowH2`, which are its own settings. @default the dispatcher of the process, that of
   * Node's own fetch
   */
  readonly dispatcher?: Dispatcher
  /**
   * The most connections to one origin; further requests wait for one in their order, without a limit of their
   * own. From 1. @default no limit
   */
  readonly connections?: number
  /**
   * How long an idle connection is kept, in milliseconds, unless the server says otherwise. A server that
   * closes it first makes the next request fail. @default 4,000 (undici's)
   */
  readonly keepAliveMs?: number
  /**
   * How long a body may bring nothing, in milliseconds; told with an accuracy of about a second.
   * @default no limit
   */
  readonly bodyTimeoutMs?: number
  /** Uses HTTP/2 where the server does. @default false, where Node's undici is 7 or earlier */
  readonly allowH2?: boolean
  /** Asks for compressed answers, unless a request says otherwise. @default false */
  readonly compress?: boolean
}

/** The type of the global `fetch`. */
export type DirectFetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

const CHECKS: Checks = {
  dispatcher: objectWith('a dispatcher of undici, such as its Agent', 'dispatch'),
  connections: integer(1),
  keepAliveMs: duration,
  bodyTimeoutMs: duration,
  allowH2: trueOrFalse,
  compress: trueOrFalse,
}

/**
 * A `fetch` for `new OpenAI({ fetch: directFetch() })` that costs about a third of Node's own, and has none of
 * its limits of five minutes on an answer. It uses the connections, proxy and mocks of the process, as Node's fetch
 * does. Requests of an uncommon kind, such as uploads, go through the runtime's own fetch, likewise without those
 * limits. Nothing is ever sent twice. Errors are those of fetch: a `TypeError` with the `cause`, or the reason of
 * the signal.
 *
 * Where there is no such dispatcher (Bun, Deno, Workers), it is the runtime's fetch, which is said once, as a
 * process warning. Where somebody has replaced the global `fetch`, such as MSW or Next.js, it calls that.
 *
 * @throws TypeError if an option is unknown or cannot be used
 */
export function directFetch(options: DirectFetchOptions = {}): DirectFetch {
  checkOptions('directFetch()', options, CHECKS)
  const { dispatcher, connections, keepAliveMs, allowH2 } = options
  const connection = { connections, keepAliveMs, allowH2 }
  for (const [name, value] of Object.entries(connection)) {
    if (dispatcher !== undefined && value !== undefined) {
      throw new TypeError(
        `directFetch(): ${name} has no effect on a dispatcher; set it where that is made`,
      )
    }
  }
  const transport = new Transport(options, new ProcessDispatcher(connection))
  const fetch: DirectFetch = (input, init) => transport.fetch(input, init as Init | undefined)
  Object.defineProperty(fetch, OURS, { value: true })
  // openai asks it whether it knows the global FormData.
  Object.defineProperty(fetch, 'Response', { get: () => globalThis.Response })
  return fetch
}

const OURS = Symbol.for('steadycall.transport.v1')

// A patched fetch hands requests on to the one that it replaced; that may be ours.
const HANDED_ON = Symbol.for('steadycall.transport.handed-on.v1')

/** Node's `dispatcher` is of undici's own type there; here it is what a caller may give. */
interface Init extends Omit<RequestInit, 'dispatcher'> {
  readonly dispatcher?: unknown
  readonly [HANDED_ON]?: true
}

type AnyFetch = (input: string | URL | Request, init?: Init) => Promise<Response>

/**
 * The fetch of the runtime, if nobody replaced it before this module was loaded; it takes any dispatcher. Where
 * the global one is ours, it is the way to the runtime's.
 */
const FETCH_AT_LOAD = globalThis.fetch as AnyFetch

class Transport {
  readonly #given: Dispatcher | undefined
  readonly #process: ProcessDispatcher
  readonly #bodyTimeout: number
  readonly #acceptEncoding: string | undefined
  readonly #destinations = new Destinations()
  // Those whose handlers are of a kind unknown here.
  readonly #unfit = new WeakSet<object>()

  constructor(options: DirectFetchOptions, ofProcess: ProcessDispatcher) {
    this.#given = options.dispatcher
    this.#process = ofProcess
    this.#bodyTimeout = options.bodyTimeoutMs ?? 0
    this.#acceptEncoding = options.compress === true ? ACCEPT_ENCODING : undefined
  }

  fetch(input: string | URL | Request, init?: Init): Promise<Response> {
    const dispatcher = this.#dispatcherFor(init)
    // What is no dispatcher is refused by the runtime's fetch, in its own words.
    const isUsable = isDispatcher(dispatcher)
    if (dispatcher === undefined) sayOnce()
    // Read at each call: mocks come and go. It is called as the runtime's is.
    const current = globalThis.fetch as AnyFetch
    const isRuntimes = isRuntimeFetch(current)
    if (!isRuntimes && !isOurs(current) && init?.[HANDED_ON] !== true) {
      const sent = isUsable ? this.#withoutLimits(dispatcher, init) : init
      return current(input, { ...sent, [HANDED_ON]: true })
    }
    const runtimeFetch = isRuntimes ? current : FETCH_AT_LOAD
    if (!isUsable) return runtimeFetch(input, init)
    let request: PlainRequest | undefined
    try {
      request = this.#unfit.has(dispatcher)
        ? undefined
        : plainRequest(input, init, this.#destinations, this.#acceptEncoding)
    } catch (error) {
      return Promise.reject(error)
    }
    const instead = () => runtimeFetch(input, this.#withoutLimits(dispatcher, init))
    if (request === undefined) return instead()
    return send(request, {
      dispatcher,
      bodyTimeout: this.#bodyTimeout,
      redirects: 0,
      type: 'basic',
      instead: () => {
        this.#unfit.add(dispatcher)
        return instead()
      },
    })
  }

  /** As the request asks for it, whatever that is; undefined if this runtime has none. */
  #dispatcherFor(init: Init | undefined): unknown {
    if (!HAS_DISPATCHER) return undefined
    const asked = init?.dispatcher
    return asked === undefined ? (this.#given ?? this.#process.current()) : asked
  }

  #withoutLimits(dispatcher: Dispatcher, init: Init | undefined): Init | undefined {
    // Something that fetch refuses.
    if (init !== undefined && typeof init !== 'object') return init
    const isForeign = dispatcher !== this.#process.current()
    return { ...init, dispatcher: new FetchDispatcher(dispatcher, this.#bodyTimeout, isForeign) }
  }
}

function isOurs(fetch: unknown): boolean {
  return Reflect.get(Object(fetch), OURS) === true
}

/**
 * Whether a fetch is Node's own, and not one that a mock or a framework has put in its place, which may have
 * happened before this module was loaded. No other function can load that module of Node's.
 */
function isRuntimeFetch(fetch: unknown): boolean {
  if (fetch !== seen.fetch) {
    seen.fetch = fetch
    seen.isRuntimes =
      typeof fetch === 'function' && sourceOf(fetch).includes('internal/deps/undici')
  }
  return seen.isRuntimes
}

// The last one asked about: it is almost always the same.
const seen: { fetch: unknown; isRuntimes: boolean } = { fetch: undefined, isRuntimes: false }

function sourceOf(given: object): string {
  return Reflect.apply(Function.prototype.toString, given, [])
}

// Bun and Deno name the undici that they imitate, but send requests by other means.
const { undici, bun, deno }: Readonly<Record<string, string | undefined>> =
  globalThis.process?.versions ?? {}
const HAS_DISPATCHER = undici !== undefined && bun === undefined && deno === undefined

function sayOnce(): void {
  const said = processWide(SAID, () => ({ hasNoDispatcher: false }))
  if (said.hasNoDispatcher) return
  said.hasNoDispatcher = true
  emitProcessWarning(
    'This runtime has no dispatcher of undici, so directFetch() is its own fetch, with its own limits of time.',
    'STEADYCALL_RUNTIME_FETCH',
  )
}

const SAID = Symbol.for('steadycall.transport.said.v1')
