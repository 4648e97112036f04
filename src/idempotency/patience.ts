import type { Clock } from '../time.ts'

/**
 * How long the store is waited for: longer than a slow round trip, far shorter than any lease. One
 * that answers later counts as unreachable.
 */
const PATIENCE_MS = 5_000

/** What to wait with, and until when at most. */
export interface Patience {
  readonly clock: Clock
  /**
   * Milliseconds left to the caller: half of it is for the store, the rest for the work. Not given
   * where no work is to follow.
   */
  readonly remainingMs?: number
  /** Ends the wait at once. */
  readonly signal?: AbortSignal
}

/** The store's answer, or a rejection when it does not come in time. */
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
