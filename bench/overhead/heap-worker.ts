import { loadPeer, type PeerFile } from '../peer.ts'

/** Heap per call of one client with many in flight, in a process of its own; needs --expose-gc. */
export interface HeapRequest {
  readonly inFlight: number
}

export interface HeapResult {
  /** Bytes of this process's JavaScript heap, per call. */
  readonly perCall: number
}

const [file = '', base = ''] = process.argv.slice(2)
// The parent passes one of its list.
const peer = await loadPeer(file as PeerFile)
const client = await peer.create({ baseURL: `${base}/v1` })
const holding = await peer.create({ baseURL: `${base}/held` })

async function heapPerCall({ inFlight }: HeapRequest): Promise<HeapResult> {
  // What is made once per process is not a call's.
  await Promise.all(Array.from({ length: 50 }, () => client.plain('warm up')))
  await hold([holding.plain('warm up')])
  const before = await heapUsed()
  const calls = Array.from({ length: inFlight }, () => holding.plain('how much do I weigh?'))
  const during = await hold(calls)
  return { perCall: (during - before) / inFlight }
}

/** Bytes of the heap while all of them wait for an answer; then they get it. */
async function hold(calls: readonly Promise<unknown>[]): Promise<number> {
  while (Number(await (await fetch(`${base}/held`)).text()) < calls.length) await pause(50)
  const during = await heapUsed()
  await fetch(`${base}/release`, { method: 'POST' })
  await Promise.all(calls)
  return during
}

async function heapUsed(): Promise<number> {
  if (globalThis.gc === undefined) throw new Error('start it with --expose-gc')
  for (let round = 0; round < 3; round++) {
    globalThis.gc()
    await pause(10)
  }
  return process.memoryUsage().heapUsed
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

process.on('message', async (request: HeapRequest) => {
  process.send?.(await heapPerCall(request))
})
process.once('disconnect', () => process.exit())
process.send?.('ready')
