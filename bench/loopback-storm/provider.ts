import {
  type Fault,
  type FaultServer,
  overloaded,
  rateLimited,
  startFaultServer,
} from '../../src/testing/index.ts'
import { TICKET_TEXT } from '../ticket.ts'

/** How a provider without room refuses: a bare 503, or a 429 that asks to come back in a second. */
export type Refusal = 'overloaded' | 'rate-limited'

// What a model takes at the least.
const ANSWER_MS = 50

/**
 * A fault server that answers so many requests a second and refuses the others at once. Room grows
 * evenly; what was not used within a second is lost.
 */
export function startLimitedProvider(perSecond: number, refusal: Refusal): Promise<FaultServer> {
  let room = perSecond / 10
  let atMs = performance.now()
  const full = refusal === 'overloaded' ? overloaded() : rateLimited({ retryAfterMs: 1_000 })
  const limited: Fault = {
    name: 'limited',
    async apply(exchange) {
      const nowMs = performance.now()
      room = Math.min(perSecond, room + ((nowMs - atMs) * perSecond) / 1_000)
      atMs = nowMs
      if (room < 1) {
        await full.apply(exchange)
        return
      }
      room -= 1
      await new Promise((resolve) => setTimeout(resolve, ANSWER_MS))
      exchange.complete()
    },
  }
  const always = Array.from({ length: 100 }, () => limited)
  return startFaultServer({ answer: TICKET_TEXT, perCall: () => always })
}
