import { readProperty } from './errors/hostile.ts'

/**
 * Signals by shape: a polyfill's, and one of another realm, are signals too, but `AbortSignal.any`
 * and `fetch` refuse them. Taken in at the door, so that the rest of steadycall has the platform's.
 */

/** An object that says whether it is aborted, and tells when it is. */
export function isSignal(value: unknown): value is AbortSignal {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'aborted') === 'boolean' &&
    typeof Reflect.get(value, 'addEventListener') === 'function'
  )
}

/** The signal itself where it is the platform's, else one that follows it, always the same one. */
export function nativeSignal(signal: AbortSignal): AbortSignal {
  if (isPlatforms(signal)) return signal
  const known = followers.get(signal)
  const follower = known ?? new AbortController()
  if (known === undefined) followers.set(signal, follower)
  // Undefined where the polyfill knows no reasons: the platform's own is taken.
  const follow = () => follower.abort(readProperty(signal, 'reason'))
  if (signal.aborted) follow()
  // Once for all calls under it: a signal that lives as long as its process gathers no listeners.
  else if (known === undefined) signal.addEventListener('abort', follow)
  return follower.signal
}

const followers = new WeakMap<AbortSignal, AbortController>()

/** Not by prototype alone: a polyfill may stand on the platform's without being one of its own. */
function isPlatforms(signal: AbortSignal): boolean {
  if (!(signal instanceof AbortSignal)) return false
  try {
    Reflect.get(AbortSignal.prototype, 'aborted', signal)
    return true
  } catch {
    return false
  }
}
