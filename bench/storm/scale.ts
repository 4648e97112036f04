import { policyNamed } from './policies.ts'
import { scenarioNamed } from './scenarios.ts'
import { storm } from './storm.ts'

const CLIENTS = 100_000

/** The brownout of H with a hundred times as many clients, load and slots, in one run. */
export async function scale(): Promise<string> {
  const small = scenarioNamed('H')
  const times = CLIENTS / small.clients
  const scenario = {
    ...small,
    clients: CLIENTS,
    load: { kind: 'open', perSecond: 35 * times } as const,
    provider: {
      ...small.provider,
      slots: small.provider.slots * times,
      queue: small.provider.queue * times,
    },
  }
  const heldBefore = heldBytes()
  const begunMs = performance.now()
  const held = { before: 0, after: 0 }
  const result = await storm(scenario, policyNamed('steadycall'), 1, (moment) => {
    held[moment] = heldBytes() - heldBefore
  })
  const tookS = (performance.now() - begunMs) / 1_000
  const sent = Math.round(result.calls * result.amplification)
  return [
    `${CLIENTS} clients, ${result.calls} calls, ${sent} requests in ${scenario.untilMs / 1_000} s of virtual time`,
    `took ${tookS.toFixed(0)} s on one core; heap per client: ${perClient(held.before)} new, ${perClient(held.after)} when all was over, the counts of this simulation included`,
    `goodput ${result.goodput.toFixed(1)} %, ${result.inFault.toFixed(2)} requests per call in the fault, recovered after ${result.recoveryS} s`,
    '',
  ].join('\n')
}

function perClient(bytes: number): string {
  return `${(bytes / CLIENTS / 1_024).toFixed(1)} KiB`
}

function heldBytes(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
