import { loadPeer, type PeerClient, type PeerFile } from '../peer.ts'
import { quantile } from '../statistics.ts'
import { COMPLETION, NO_NETWORK } from './completion.ts'

/** One client in a process of its own, which makes a block of calls whenever it is told to. */
export interface BlockRequest {
  readonly kind: 'plain' | 'structured'
  readonly calls: number
  readonly atOnce: number
}

/** What a block came to; microseconds. */
export interface BlockResult {
  readonly p50: number
  readonly p99: number
  /** User and system time of this process, per call. */
  readonly cpu: number
  /** Wall time of the block, per call. */
  readonly wall: number
}

async function runBlock(
  measured: PeerClient,
  { kind, calls, atOnce }: BlockRequest,
): Promise<BlockResult> {
  const call = measured[kind]
  if (call === undefined) throw new Error(`this client has no ${kind} call`)
  const latencies: number[] = []
  let left = calls
  const lane = async () => {
    while (left > 0) {
      left -= 1
      const startedMs = performance.now()
      await call('The invoice page is blank, and I was charged twice for March.')
      latencies.push((performance.now() - startedMs) * 1_000)
    }
  }
  const cpuBefore = process.cpuUsage()
  const startedMs = performance.now()
  await Promise.all(Array.from({ length: atOnce }, lane))
  const wall = ((performance.now() - startedMs) * 1_000) / calls
  const { user, system } = process.cpuUsage(cpuBefore)
  return {
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    cpu: (user + system) / calls,
    wall,
  }
}

const [file = '', baseURL = ''] = process.argv.slice(2)
if (baseURL === NO_NETWORK) {
  const headers = { 'content-type': 'application/json', 'x-request-id': 'req_bench' }
  globalThis.fetch = async () => new Response(COMPLETION, { headers })
}
// The parent passes one of its list.
const peer = await loadPeer(file as PeerFile)
const client = await peer.create({ baseURL })
process.on('message', async (request: BlockRequest) => {
  process.send?.(await runBlock(client, request))
})
process.once('disconnect', () => process.exit())
process.send?.('ready')
