import OpenAI from 'openai'
import { createRuntime } from '../index.ts'
import { type Fault, overloaded, startFaultServer } from '../testing/index.ts'
import { askBare, askSteady } from './clients.ts'
import { GOOD_ANSWER, type Scenario, TICKET_TEXT } from './scenarios.ts'

/** How the calls of one client survived an outage. */
export interface Survived {
  readonly valid: number
  readonly requests: number
  /** Milliseconds until the last call had ended. */
  readonly tookMs: number
}

export interface OutageResult {
  readonly calls: number
  readonly outageMs: number
  readonly steady: Survived
  readonly bare: Survived
}

const CALLS = 30
const OUTAGE_MS = 3_000
const CALL: Scenario = { name: 'outage', faults: [], expected: 'success' }

/** Makes thirty calls at once to a provider that refuses every request for three seconds. */
export async function meetOutage(
  model: string,
  random: () => number,
  signal: AbortSignal,
): Promise<OutageResult> {
  const runtime = createRuntime({ random })
  const request = { model, text: TICKET_TEXT, signal }
  // Two servers, so that neither client benefits from the requests of the other.
  const [steady, bare] = await Promise.all([
    survive(runtime.clock, async (client, callId) => {
      return (await askSteady(client, runtime, CALL, { ...request, callId })).valid
    }),
    survive(runtime.clock, async (client, callId) => {
      return (await askBare(client, CALL, { ...request, callId })).problem === undefined
    }),
  ])
  return { calls: CALLS, outageMs: OUTAGE_MS, steady, bare }
}

async function survive(
  clock: { monotonicMs(): number },
  ask: (client: OpenAI, callId: string) => Promise<boolean>,
): Promise<Survived> {
  const startedMs = clock.monotonicMs()
  const refuses = overloaded()
  let endsMs: number | undefined
  const outage: Fault = {
    name: 'outage',
    apply(exchange) {
      // The outage begins with the first request.
      endsMs ??= clock.monotonicMs() + OUTAGE_MS
      return clock.monotonicMs() < endsMs ? refuses.apply(exchange) : exchange.complete()
    },
  }
  const answer = JSON.stringify(GOOD_ANSWER)
  const server = await startFaultServer({ answer, perCall: () => Array(20).fill(outage) })
  try {
    const { baseURL } = server
    const client = new OpenAI({ apiKey: 'sk-demo', baseURL, logLevel: 'off' })
    const calls = Array.from({ length: CALLS }, (_, index) => ask(client, `call ${index}`))
    const valid = (await Promise.all(calls)).filter(Boolean).length
    return { valid, requests: server.count, tookMs: clock.monotonicMs() - startedMs }
  } finally {
    await server.close()
  }
}
