import type { Failure } from '../errors/call-error.ts'
import { readProperty, someCause } from '../errors/hostile.ts'
import { type Bounds, isSignal } from '../time.ts'

/** What the judgement needs of the wire's record. */
interface WireFacts {
  readonly sockets: number
  readonly url: string | undefined
  readonly refusal: string | undefined
}

/**
 * A failure of a request that could never have gone out, whatever it looked like: the runtime refuses
 * to make a request of it, no server listens at its port, or its address is not a server's. And one that
 * looks so though a request was seen: a custom `fetch` had sent one before. Any other is
 * given back as it is.
 */
export function judgeUnsendable(failure: Failure, wire: WireFacts, bounds: Bounds): Failure {
  if (bounds.ended !== undefined) return failure
  if (failure.kind === 'invalid_request') {
    const wasSent = wire.sockets > 0 && BEFORE_SENDING.includes(failure.code ?? '')
    return wasSent && failure.status === undefined ? { ...failure, executed: 'maybe' } : failure
  }
  const code = wire.refusal ?? refusalOfAddress(wire.url, failure)
  if (code === undefined) return failure
  const { cause } = failure
  const kind = 'invalid_request'
  return { kind, retryable: false, executed: 'no', message: kind, code, cause }
}

// What a redirect that came back cannot lead to.
const BEFORE_SENDING = ['invalid_option', 'invalid_header', 'invalid_method', 'body_used']

// Their contents are in the URL itself, or in this process: no server has been asked.
const LOCAL_SCHEMES = ['data:', 'blob:', 'about:']

function refusalOfAddress(url: string | undefined, failure: Failure): string | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined
  const { protocol, port } = new URL(url)
  if (LOCAL_SCHEMES.includes(protocol)) return 'unsupported_scheme'
  if (failure.kind !== 'network' || failure.executed !== 'no') return undefined
  // Port 0 is reserved (RFC 6335, section 6). Only where no connection came about: a proxy may map it.
  return port === '0' || someCause(failure.cause, isToPortZero) ? 'bad_port' : undefined
}

/** A redirect may lead there, too. Node leaves the port 0 out of what it says of a connection. */
function isToPortZero(cause: object): boolean {
  const address = readProperty(cause, 'address')
  return (
    readProperty(cause, 'syscall') === 'connect' &&
    typeof address === 'string' &&
    /^[\d.]+$|:/.test(address) &&
    (readProperty(cause, 'port') ?? 0) === 0
  )
}

/**
 * Did a `fetch` fail because of what was given to it? Then the runtime's own `Request` cannot be made
 * of it either, and says so in the very same words. Making one sends nothing.
 */
export function isRefused(error: unknown, url: unknown, init: object): boolean {
  if (readProperty(error, 'name') !== 'TypeError' || typeof url !== 'string') return false
  if (readProperty(error, 'cause') !== undefined) return false
  const signal: unknown = Reflect.get(init, 'signal')
  try {
    // Nothing is to listen to a signal that may live for long.
    new Request(url, isSignal(signal) ? { ...init, signal: null } : init)
    return false
  } catch (refusal) {
    return readProperty(refusal, 'message') === readProperty(error, 'message')
  }
}
