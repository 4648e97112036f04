import { readProperty, someCause } from './hostile.ts'

const MARK = Symbol.for('steadycall.not-executed.v1')

// For objects that cannot carry the mark: frozen objects, and proxies that reject it.
const marked = new WeakSet<object>()

/**
 * Marks an error thrown by your own function as proof that the work was not done, so that a retry, or a
 * later call with the same idempotency key, cannot do it twice. Without the mark, a thrown error counts
 * as `executed: 'maybe'`.
 *
 * Returns the same object, marked, even if it is frozen. A value that is not an object is wrapped in an
 * `Error` as its `cause`.
 *
 * @example
 * if (!(await inventory.reserve(item))) throw notExecuted(new Error('Sold out.'))
 */
export function notExecuted<E extends object>(error: E): E
export function notExecuted(error: unknown): unknown
export function notExecuted(error: unknown): unknown {
  if ((typeof error !== 'object' && typeof error !== 'function') || error === null) {
    return notExecuted(new Error('The work was not executed.', { cause: error }))
  }
  if (!mark(error)) marked.add(error)
  return error
}

/** True if the error or one of its causes was marked by `notExecuted`. */
export function isNotExecuted(error: unknown): boolean {
  return someCause(error, (cause) => marked.has(cause) || readProperty(cause, MARK) === true)
}

function mark(error: object): boolean {
  try {
    return Reflect.defineProperty(error, MARK, { value: true })
  } catch {
    return false
  }
}
