import { CallError, type CallErrorInit, isCallError } from '../errors/call-error.ts'

/**
 * What a store rejects with where a record is there and cannot be read: unlike a store that is
 * down, it is never passed over, since the work under that key may have been done.
 */
export function unreadableRecord(key: string, what: string, cause?: unknown): CallError {
  return new CallError({
    kind: 'store_unavailable',
    // The kind's usual advice would not help: 'bypass' does not pass this over.
    message:
      `The record ${key.slice(0, 12)}… in the idempotency store is damaged: ${what} cannot be ` +
      'read. Find out whether its work was done, then remove the record or use another key.',
    ...(cause !== undefined && { cause }),
    retryable: false,
    executed: 'maybe',
  })
}

/** What to say to everybody who asked for the key; undefined where the store is only down. */
export function unreadableIn(error: unknown): CallErrorInit | undefined {
  if (!isCallError(error) || error.kind !== 'store_unavailable' || error.retryable) return undefined
  const { kind, message, cause, retryable, executed } = error
  return { kind, message, cause, retryable, executed, source: 'store' }
}
