/** Where a request goes, as a dispatcher is told. */
export interface Destination {
  readonly origin: string
  readonly path: string
  /** Without its fragment. */
  readonly href: string
}

/** A request that the transport sends itself. */
export interface PlainRequest {
  readonly destination: Destination
  readonly method: string
  /** Names and values in turn. */
  readonly headers: readonly string[]
  readonly body: string | Uint8Array | null
  readonly signal: AbortSignal | undefined
}

const METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
])

/** A `RequestInit`; who sends it is another's affair. */
type PlainInit = Omit<RequestInit, 'dispatcher'>

// The members of a `RequestInit` that are understood here. Symbols are others' marks, which fetch ignores too.
const KNOWN: ReadonlySet<string> = new Set([
  'method',
  'headers',
  'body',
  'signal',
  'duplex',
  'redirect',
  'dispatcher',
])

/**
 * The request that `fetch(input, init)` would send, if it is of the common kind: a URL as text, a common method,
 * text or bytes as the body. Undefined for all others, which the runtime's own fetch sends, or refuses.
 *
 * @throws TypeError of the runtime, if `headers` cannot be sent
 */
export function plainRequest(
  input: unknown,
  init: PlainInit | undefined,
  destinations: Destinations,
  acceptEncoding: string | undefined,
): PlainRequest | undefined {
  if (typeof input !== 'string' || (init !== undefined && typeof init !== 'object'))
    return undefined
  const { method = 'GET', headers, body, signal, redirect = 'follow', duplex = 'half' } = init ?? {}
  const isPlain =
    METHODS.has(method) &&
    redirect === 'follow' &&
    duplex === 'half' &&
    (signal === undefined || signal === null || signal instanceof AbortSignal) &&
    isPlainBody(body, method) &&
    isUnderstood(init)
  const destination = isPlain ? destinations.of(input) : undefined
  if (destination === undefined) return undefined
  const flat = flatHeaders(headers, typeof body === 'string', acceptEncoding)
  if (flat === undefined) return undefined
  return {
    destination,
    method,
    headers: flat,
    // A caller may change bytes after the call; the queue of a dispatcher may be long.
    body: typeof body === 'string' ? body : isBytes(body) ? new Uint8Array(body) : null,
    signal: signal ?? undefined,
  }
}

function isBytes(body: unknown): body is Uint8Array {
  return body instanceof Uint8Array
}

function isPlainBody(body: unknown, method: string): boolean {
  if (body === undefined || body === null) return true
  if (method === 'GET' || method === 'HEAD') return false
  // Shared memory is refused by fetch.
  return typeof body === 'string' || (isBytes(body) && body.buffer instanceof ArrayBuffer)
}

function isUnderstood(init: PlainInit | undefined): boolean {
  for (const name in init) if (!KNOWN.has(name)) return false
  return true
}

/** What Node's fetch says of itself where the caller says nothing; some servers refuse a request without it. */
const USER_AGENT = 'node'

/** Undefined if they set the length of the body: fetch merges that with its own. */
function flatHeaders(
  init: RequestInit['headers'],
  isText: boolean,
  acceptEncoding: string | undefined,
): string[] | undefined {
  // Anything but a `Headers` is checked, and refused, by making one.
  const headers = init instanceof Headers ? init : new Headers(init)
  if (headers.has('content-length')) return undefined
  const flat: string[] = []
  for (const [name, value] of headers) flat.push(name, value)
  if (isText && !headers.has('content-type')) flat.push('content-type', 'text/plain;charset=UTF-8')
  if (!headers.has('accept')) flat.push('accept', '*/*')
  if (!headers.has('user-agent')) flat.push('user-agent', USER_AGENT)
  if (acceptEncoding !== undefined && !headers.has('accept-encoding')) {
    flat.push('accept-encoding', acceptEncoding)
  }
  return flat
}

/** Reads URLs. A client asks for the same one again and again, so the last is kept. */
export class Destinations {
  #text = ''
  #destination: Destination | undefined

  /** Undefined if fetch would refuse the URL, or might. */
  of(text: string): Destination | undefined {
    if (text === this.#text) return this.#destination
    this.#text = text
    this.#destination = URL.canParse(text) ? destinationOf(new URL(text)) : undefined
    return this.#destination
  }
}

export function destinationOf(url: URL): Destination | undefined {
  const { protocol, username, password, port, origin, pathname, search, href, hash } = url
  if (protocol !== 'http:' && protocol !== 'https:') return undefined
  if (username !== '' || password !== '' || (port !== '' && mayBeBlocked(Number(port))))
    return undefined
  const whole = hash === '' && !href.endsWith('#') ? href : href.slice(0, href.indexOf('#'))
  // An empty query is none for a URL, but is sent.
  const path = search === '' && whole.endsWith('?') ? `${pathname}?` : pathname + search
  return { origin, path, href: whole }
}

// https://fetch.spec.whatwg.org/#port-blocking, but for those below 1024.
const BLOCKED_PORTS: ReadonlySet<number> = new Set([
  1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669,
  6679, 6697, 10080,
])

function mayBeBlocked(port: number): boolean {
  return port < 1024 || BLOCKED_PORTS.has(port)
}
