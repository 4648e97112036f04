import type { Clock } from '../time.ts'

/**
 * How long to wait for the store: longer than a slow round trip, far shorter than a lease. A store that
 * takes longer counts as unreachable.
 */
const PATIENCE_MS = 5_000

/** The limits of a wait for the store. */
export interface Patience {
  readonly clock: Clock
  /**
   * Milliseconds left to the caller. The store gets half, the work the rest. Absent if no work is to
   * follow.
   */
  readonly remainingMs?: number
  /** Aborts the wait. */
  readonly signal?: AbortSignal
}

/** The store's answer; rejects if it does not arrive in time. */
export async function withPatience<T>(
  answer: Promise<T>,
  { clock, remainingMs = Number.POSITIVE_INFINITY, signal }: Patience,
): Promise<T> {
  let end: () => void = () => {}
  const over = new Promise<never>((_, reject) => {
    const waitMs = Math.max(0, Math.min(PATIENCE_MS, remainingMs / 2))
    const onAbort = () => reject(signal?.reason)
    const cancel = clock.schedule(waitMs, () =>
      reject(new DOMException(`no answer within ${waitMs} ms`, 'TimeoutError')),
    )
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted) onAbort()
    end = () => {
      cancel()
      signal?.removeEventListener('abort', onAbort)
    }
  })
  try {
    return await Promise.race([answer, over])
  } finally {
    end()
  }
}
