import { readProperty } from './errors/hostile.ts'

/**
 * Recognises signals by their shape. Signals of a polyfill or another realm are valid, but `AbortSignal.any`
 * and `fetch` reject them, so they are converted on entry; the rest of steadycall sees only native ones.
 */

/** Whether the value has `aborted` and `addEventListener`. */
export function isSignal(value: unknown): value is AbortSignal {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'aborted') === 'boolean' &&
    typeof Reflect.get(value, 'addEventListener') === 'function'
  )
}

/** The signal itself if it is native, otherwise a native one that follows it (always the same one). */
export function nativeSignal(signal: AbortSignal): AbortSignal {
  if (isPlatforms(signal)) return signal
  const known = followers.get(signal)
  const follower = known ?? new AbortController()
  if (known === undefined) followers.set(signal, follower)
  // Without a reason (some polyfills have none) `abort` uses its default.
  const follow = () => follower.abort(readProperty(signal, 'reason'))
  if (signal.aborted) follow()
  // One listener for all calls, because a signal may live as long as the process.
  else if (known === undefined) signal.addEventListener('abort', follow)
  return follower.signal
}

const followers = new WeakMap<AbortSignal, AbortController>()

/** The prototype is not enough: a polyfill's signal may inherit from the native one without being native. */
function isPlatforms(signal: AbortSignal): boolean {
  if (!(signal instanceof AbortSignal)) return false
  try {
    Reflect.get(AbortSignal.prototype, 'aborted', signal)
    return true
  } catch {
    return false
  }
}
