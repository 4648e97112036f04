import { destinationOf, type PlainRequest } from './request.ts'

// https://fetch.spec.whatwg.org/#http-redirect-fetch
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** As many as fetch follows. */
export const MAX_REDIRECTS = 20

// What describes a body that is not sent again.
const BODY_HEADERS: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-language',
  'content-location',
  'content-type',
  'content-length',
])

/** For the first origin alone. fetch drops the first four; the others are the keys of some providers. */
const CREDENTIALS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'host',
  'api-key',
  'x-api-key',
])

/** Whether an answer sends its request elsewhere. */
export function isRedirect(status: number, location: string | undefined): location is string {
  return location !== undefined && REDIRECTS.has(status)
}

/**
 * The request that a redirect asks for.
 *
 * @throws Error if it is not to be followed
 */
export function redirected(request: PlainRequest, status: number, location: string): PlainRequest {
  const { origin, href } = request.destination
  const url = new URL(asText(location), href)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new Error('URL scheme must be a HTTP(S) scheme')
  }
  const destination = destinationOf(url)
  if (destination === undefined) {
    throw new Error(
      url.username === '' && url.password === ''
        ? 'bad port'
        : 'cross origin not allowed for request mode "cors"',
    )
  }
  const { method } = request
  const becomesGet =
    status === 303 ? method !== 'GET' && method !== 'HEAD' : status < 303 && method === 'POST'
  const isElsewhere = destination.origin !== origin
  return {
    destination,
    method: becomesGet ? 'GET' : method,
    body: becomesGet ? null : request.body,
    headers: without(
      request.headers,
      (name) => (becomesGet && BODY_HEADERS.has(name)) || (isElsewhere && CREDENTIALS.has(name)),
    ),
    signal: request.signal,
  }
}

/** Some servers send UTF-8 in this header, which is read as Latin-1 like all headers. */
function asText(location: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  return /^[\x00-\x7f]*$/.test(location)
    ? location
    : Buffer.from(location, 'latin1').toString('utf8')
}

function without(headers: readonly string[], isDropped: (name: string) => boolean): string[] {
  const kept: string[] = []
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const [name = '', value = ''] = [headers[at], headers[at + 1]]
    if (!isDropped(name)) kept.push(name, value)
  }
  return kept
}
