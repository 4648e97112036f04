import { readProperty, someCause } from './hostile.ts'

const MARK = Symbol.for('steadycall.not-executed.v1')

// Objects that cannot carry the mark: frozen ones, and proxies that refuse it.
const marked = new WeakSet<object>()

/**
 * Marks an error thrown by your own function as proof that the work was surely not done: a retry
 * or a later caller of the same idempotency key cannot do it twice. Without the mark a thrown error
 * counts as 'maybe'.
 *
 * An object is marked and returned as it is, a frozen one too; anything else comes back wrapped in
 * an `Error` whose `cause` it is.
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

/** True when the error, or one it was caused by, was marked by `notExecuted`. */
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
