import { CallError, type CallErrorInit, isCallError } from '../errors/call-error.ts'

/**
 * The error of a store that finds a record but cannot read it. Unlike a store that is down, it is never
 * bypassed, because the work under that key may have been done.
 */
export function unreadableRecord(key: string, what: string, cause?: unknown): CallError {
  return new CallError({
    kind: 'store_unavailable',
    // Not the kind's usual advice, because 'bypass' does not apply here.
    message:
      `The record ${key.slice(0, 12)}… in the idempotency store is damaged: ${what} cannot be ` +
      'read. Find out whether its work was done, then remove the record or use another key.',
    ...(cause !== undefined && { cause }),
    retryable: false,
    executed: 'maybe',
  })
}

/** The error for every caller of the key; undefined if the store is merely down. */
export function unreadableIn(error: unknown): CallErrorInit | undefined {
  if (!isCallError(error) || error.kind !== 'store_unavailable' || error.retryable) return undefined
  const { kind, message, cause, retryable, executed } = error
  return { kind, message, cause, retryable, executed, source: 'store' }
}
