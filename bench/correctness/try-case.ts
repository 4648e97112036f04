import { isDeepStrictEqual } from 'node:util'
import { type Fault, type FaultServer, startFaultServer } from '../../src/testing/index.ts'
import type { Peer, PeerClient } from '../peer.ts'
import { TICKET, TICKET_TEXT } from '../ticket.ts'

/** One call of one client that meets one fault. */
export interface Case {
  readonly peer: Peer
  readonly kind: 'plain' | 'structured' | 'stream'
  readonly fault: Fault
  /** Another right value than the ticket of every later answer. */
  readonly value?: unknown
}

/** How the call ended, and what it sent. */
export interface CaseResult {
  /** `wrong`: it returned something else than the answer, as if it were one. */
  readonly outcome: 'right' | 'wrong' | 'error' | 'waiting'
  readonly requests: number
  readonly ms: number
  /** Between the arrival of the first request and that of the second. */
  readonly gapMs: number | undefined
}

// Of one request. Long beside the work on a busy machine, short beside the reader's patience.
const TIMEOUT_MS = 1_500
const PATIENCE_MS = 15_000
// Between the starts of two cases, so that none waits for the work of the others.
const STAGGER_MS = 20

/** Runs all cases, one beside the other: nearly all of their time is waiting. */
export async function tryCases(cases: readonly Case[]): Promise<readonly CaseResult[]> {
  const server = await startFaultServer({
    answer: TICKET_TEXT,
    callOf: ({ body }) => /case-\d+;/.exec(JSON.stringify(body.messages))?.[0] ?? '',
    perCall(callId) {
      // The warm-up names no case.
      const fault = cases[Number(callId.slice('case-'.length, -1) || -1)]?.fault
      return fault === undefined ? [] : [fault]
    },
  })
  const options = { baseURL: server.baseURL, timeoutMs: TIMEOUT_MS }
  // A client each: no case shall meet the breaker or the budget of another.
  const clients = await Promise.all(cases.map(({ peer }) => peer.create(options)))
  await warmUp(cases, clients)
  const running: Promise<CaseResult>[] = []
  for (const [index, one] of cases.entries()) {
    const client = clients[index]
    if (client !== undefined) running.push(tryCase(server, one, client, index))
    await pause(STAGGER_MS)
  }
  const results = await Promise.all(running)
  await server.close()
  return results
}

/** A good call of each client and kind, for what is loaded and compiled once. */
async function warmUp(cases: readonly Case[], clients: readonly PeerClient[]): Promise<void> {
  const warmed = new Set<string>()
  for (const [index, { peer, kind }] of cases.entries()) {
    if (warmed.has(peer.name + kind)) continue
    warmed.add(peer.name + kind)
    await clients[index]?.[kind]?.('a good one')
  }
}

async function tryCase(
  server: FaultServer,
  { peer, kind, value = TICKET }: Case,
  client: PeerClient,
  index: number,
): Promise<CaseResult> {
  const callId = `case-${index};`
  const call = client[kind]
  if (call === undefined) throw new Error(`${peer.name} has no ${kind} call`)
  const startedMs = performance.now()
  const right = kind === 'structured' ? [TICKET, value] : [TICKET_TEXT]
  const outcome = await Promise.race([ending(call(callId), right), patience()])
  const ms = performance.now() - startedMs
  const requests = server.requestsFor(callId)
  const [first, second] = requests
  const gapMs = first && second && second.atMs - first.atMs
  return { outcome, requests: requests.length, ms, gapMs }
}

async function ending(
  call: Promise<unknown>,
  right: readonly unknown[],
): Promise<CaseResult['outcome']> {
  try {
    const value = plain(await call)
    return right.some((one) => isDeepStrictEqual(value, one)) ? 'right' : 'wrong'
  } catch {
    return 'error'
  }
}

/** Without the prototypes and symbols that a client may add. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value))
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function patience(): Promise<'waiting'> {
  return new Promise((resolve) => {
    setTimeout(() => resolve('waiting'), PATIENCE_MS).unref()
  })
}
