import { loadPeer, type PeerFile } from '../peer.ts'
import { quantile } from '../statistics.ts'
import { type Refusal, startLimitedProvider } from './provider.ts'

/** One client in its storm, in a process of its own. */
export interface StormRequest {
  readonly refusal: Refusal
  readonly calls: number
  readonly callsPerSecond: number
  readonly capacityPerSecond: number
}

export interface StormResult {
  readonly succeeded: number
  readonly requests: number
  /** Of the calls that succeeded, milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Of those that failed: how long their callers waited for that. */
  readonly failedP50: number | undefined
  readonly lastedMs: number
}

// Nobody waits longer; a call that is still waiting then has failed.
const PATIENCE_MS = 30_000

async function storm({
  refusal,
  calls,
  callsPerSecond,
  capacityPerSecond,
}: StormRequest): Promise<StormResult> {
  const server = await startLimitedProvider(capacityPerSecond, refusal)
  const client = await peer.create({ baseURL: server.baseURL })
  const startedMs = performance.now()
  const succeeded: number[] = []
  const failed: number[] = []
  const one = async (index: number) => {
    const callStartedMs = performance.now()
    const isRight = await Promise.race([
      client.plain(`call ${index}`).then(
        () => true,
        () => false,
      ),
      pause(PATIENCE_MS).then(() => false),
    ])
    const list = isRight ? succeeded : failed
    list.push(performance.now() - callStartedMs)
  }
  const running: Promise<void>[] = []
  for (let index = 0; index < calls; index++) {
    const dueMs = startedMs + (index * 1_000) / callsPerSecond
    while (performance.now() < dueMs) await pause(Math.max(dueMs - performance.now(), 1))
    running.push(one(index))
  }
  await Promise.all(running)
  const result = {
    succeeded: succeeded.length,
    requests: server.count,
    p50: quantile(succeeded, 0.5),
    p99: quantile(succeeded, 0.99),
    failedP50: failed.length === 0 ? undefined : quantile(failed, 0.5),
    lastedMs: performance.now() - startedMs,
  }
  await server.close()
  return result
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}

const [file = ''] = process.argv.slice(2)
// The parent passes one of its list.
const peer = await loadPeer(file as PeerFile)
process.on('unhandledRejection', () => {})
process.on('message', async (request: StormRequest) => {
  process.send?.(await storm(request))
})
process.once('disconnect', () => process.exit())
process.send?.('ready')
