import type { Clock } from '../time.ts'

/** The cause of the error of a call that was ended by `close()`. */
export class ClientClosed extends Error {
  override readonly name = 'ClientClosed'

  constructor() {
    super('The client was closed by llm.close()')
  }
}

/**
 * The closing of one client: ends all of its waiting calls at once. Not an AbortSignal, because removing one
 * of many listeners from a signal is slow, and a hundred thousand calls may wait.
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

  /** Registers a wait; `end` is called when the client is closed. */
  begin(end: () => void): void {
    this.#waiting.add(end)
  }

  /** Unregisters a wait that has ended. */
  over(end: () => void): void {
    this.#waiting.delete(end)
  }

  /** Resolves after `delayMs` milliseconds, or at once when the signal aborts or the client is closed. */
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
