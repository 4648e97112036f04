import type { Answer, Provider, Ticket } from './provider.ts'
import type { VirtualTime } from './virtual-time.ts'

/** How one call ended. */
export interface CallEnd {
  readonly ok: boolean
  /** Requests sent; none: it was refused on this side. */
  readonly attempts: number
}

/** One process that calls a model, with whatever its retry policy remembers. */
export interface Client {
  /** `bulk`: a call of a batch, for policies that know the difference. */
  call(done: (end: CallEnd) => void, bulk?: boolean): void
}

/** What a client is made of. */
export interface ClientRequest {
  readonly time: VirtualTime
  /** Shared by all clients; no one else draws from it. */
  readonly random: () => number
  /** Told of every request that is sent. */
  readonly provider: (index: number) => Provider
  /** A second provider is there. */
  readonly hasSecond: boolean
  /** How long an attempt waits for its answer, under every policy. */
  readonly attemptTimeoutMs: number
}

/** How an attempt ends for its caller. */
export type Ended = Answer | 'timeout'

/**
 * One request, given up after the attempt's timeout. Returns how to take it back before that. Of a
 * stream it is done with the first chunk.
 */
export function send(
  time: VirtualTime,
  provider: Provider,
  timeoutMs: number,
  done: (ended: Ended) => void,
): Ticket {
  let isOver = false
  const end = (ended: Ended) =>
    time.heard(() => {
      if (isOver) return
      isOver = true
      cancel()
      if (ended === 'timeout') ticket.abandon()
      done(ended)
    })
  const ticket = provider.ask(end)
  const cancel = time.after(timeoutMs, () => end('timeout'))
  return {
    abandon() {
      isOver = true
      cancel()
      ticket.abandon()
    },
  }
}
