import type { Clock } from '../time.ts'

/** The cause of the error of a call that `close()` has ended. */
export class ClientClosed extends Error {
  override readonly name = 'ClientClosed'

  constructor() {
    super('The client was closed by llm.close()')
  }
}

/**
 * The end of one wrapped client: those of its calls that wait are ended at once. Not a signal, since
 * those take long to forget one of many listeners, and a hundred thousand calls may wait.
 */
export class Closing {
  #isClosed = false
  readonly #waiting = new Set<() => void>()

  get isClosed(): boolean {
    return this.#isClosed
  }

  close(): void {
    this.#isClosed = true
    for (const end of this.#waiting) end()
  }

  /** A wait begins that `end` can end. */
  begin(end: () => void): void {
    this.#waiting.add(end)
  }

  /** It is over. */
  over(end: () => void): void {
    this.#waiting.delete(end)
  }

  /** Resolves after so long, or at once when the signal aborts or the client is closed. */
  sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        cancel()
        signal?.removeEventListener('abort', end)
        this.over(end)
        resolve()
      }
      const cancel = clock.schedule(delayMs, end)
      this.begin(end)
      signal?.addEventListener('abort', end, { once: true })
      if (this.#isClosed || signal?.aborted) end()
    })
  }
}
