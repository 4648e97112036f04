/** What sends requests: an `Agent`, `Pool`, `ProxyAgent` … of undici 6 or later, of Node's own or from npm. */
export interface Dispatcher {
  dispatch(...args: never[]): boolean
}

/** How one request is to be sent; the part of undici's `DispatchOptions` that is used here. */
export interface DispatchOptions {
  readonly origin: string
  readonly path: string
  readonly method: string
  readonly headers: readonly string[]
  readonly body: string | Uint8Array | null
  /** Milliseconds until the head must have come; 0: no limit. */
  readonly headersTimeout: number
  /** Milliseconds without a byte of the body; 0: no limit. */
  readonly bodyTimeout: number
}

/** undici 7 and later steer a request by this. */
export interface DispatchController {
  pause(): void
  resume(): void
  abort(reason: unknown): void
}

type RawHeaders = readonly (Uint8Array | string)[]

/** What a dispatcher tells of a request: undici 7 and later call the first five, undici 6 the others. */
export interface DispatchHandler {
  onRequestStart(controller: DispatchController): void
  onResponseStart(
    controller: DispatchController,
    status: number,
    headers: Readonly<Record<string, string | readonly string[]>>,
    statusText?: string,
  ): void
  onResponseData(controller: DispatchController, chunk: Uint8Array): void
  onResponseEnd(controller: DispatchController): void
  onResponseError(controller: DispatchController | undefined, error: unknown): void

  onConnect(abort: (reason: unknown) => void): void
  onHeaders(status: number, headers: RawHeaders, resume: () => void, statusText?: string): boolean
  onData(chunk: Uint8Array): boolean
  onComplete(): void
  onError(error: unknown): void
}

/** Sends one request by a dispatcher of any version. */
export function dispatch(
  dispatcher: Dispatcher,
  options: DispatchOptions,
  handler: DispatchHandler,
): void {
  // undici's own signature: options, then a handler.
  Reflect.apply(dispatcher.dispatch, dispatcher, [options, handler])
}

/** Settings of connections; those not given are the dispatcher's own. */
export interface ConnectionOptions {
  readonly connections?: number | undefined
  readonly keepAliveMs?: number | undefined
  readonly allowH2?: boolean | undefined
}

/** undici's own limit on what a server's `Keep-Alive` hint may ask for. */
const KEEP_ALIVE_MAX_MS = 600_000

// Of these it is known that they take these options; EnvHttpProxyAgent is Node's under NODE_USE_ENV_PROXY.
const CONFIGURABLE: ReadonlySet<string> = new Set(['Agent', 'EnvHttpProxyAgent'])

/**
 * The dispatcher that Node's own fetch asks, or one of the same class with connections of its own where options
 * call for that. Looked up for each request: a proxy, a mock or an agent may be set at any time.
 */
export class ProcessDispatcher {
  readonly #options: ConnectionOptions
  readonly #isOwn: boolean
  #own: { readonly of: Dispatcher; readonly dispatcher: Dispatcher } | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#isOwn = Object.values(options).some((value) => value !== undefined)
  }

  /** Undefined in a runtime that has none. */
  current(): Dispatcher | undefined {
    const shared = sharedDispatcher()
    if (shared === undefined) return undefined
    if (!this.#isOwn) return shared
    if (this.#own?.of !== shared) this.#own = { of: shared, dispatcher: this.#ownLike(shared) }
    return this.#own.dispatcher
  }

  /** A mock, or a dispatcher of another kind, is used as it is. */
  #ownLike(shared: Dispatcher): Dispatcher {
    const kind = shared.constructor
    if (!CONFIGURABLE.has(kind.name)) return shared
    const { connections, keepAliveMs, allowH2 } = this.#options
    const made: unknown = Reflect.construct(kind, [
      {
        ...(connections !== undefined && { connections }),
        ...(allowH2 !== undefined && { allowH2 }),
        ...(keepAliveMs !== undefined && {
          keepAliveTimeout: keepAliveMs,
          keepAliveMaxTimeout: Math.max(keepAliveMs, KEEP_ALIVE_MAX_MS),
        }),
      },
    ])
    return isDispatcher(made) ? made : shared
  }
}

const UNDICI_MAJOR = Number.parseInt(globalThis.process?.versions?.['undici'] ?? '', 10)

// Each major that changed what a handler is has a place of its own. undici 8 keeps the older one filled, for
// the fetch of older versions.
const SHARED = Symbol.for(`undici.globalDispatcher.${UNDICI_MAJOR >= 8 ? 2 : 1}`)

function sharedDispatcher(): Dispatcher | undefined {
  const early: unknown = Reflect.get(globalThis, SHARED)
  if (isDispatcher(early)) return early
  // Node loads its undici, which fills that place, when one of its classes is first asked for.
  void globalThis.Response
  const shared: unknown = Reflect.get(globalThis, SHARED)
  return isDispatcher(shared) ? shared : undefined
}

export function isDispatcher(value: unknown): value is Dispatcher {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'dispatch') === 'function'
  )
}
