import type { WaitingCall } from './waiting.ts'

/** The waiting calls that share a signal. */
interface SignalGroup {
  readonly calls: Set<WaitingCall>
  readonly listener: () => void
}

/**
 * The signals of the waiting calls. However many calls share a signal, it gets a single listener, because
 * adding one to a signal takes Node time linear in the number of its listeners.
 */
export class AbortSignals {
  readonly #groups = new Map<AbortSignal, SignalGroup>()
  readonly #onAbort: (calls: Iterable<WaitingCall>) => void

  constructor(onAbort: (calls: Iterable<WaitingCall>) => void) {
    this.#onAbort = onAbort
  }

  add(signal: AbortSignal, call: WaitingCall): void {
    const known = this.#groups.get(signal)
    if (known !== undefined) {
      known.calls.add(call)
      return
    }
    const calls = new Set([call])
    const listener = () => {
      this.#groups.delete(signal)
      this.#onAbort(calls)
    }
    signal.addEventListener('abort', listener, { once: true })
    this.#groups.set(signal, { calls, listener })
  }

  delete(signal: AbortSignal, call: WaitingCall): void {
    const group = this.#groups.get(signal)
    if (group === undefined) return
    group.calls.delete(call)
    if (group.calls.size > 0) return
    this.#groups.delete(signal)
    signal.removeEventListener('abort', group.listener)
  }
}
