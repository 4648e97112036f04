import { startChild } from '../child.ts'
import { table } from '../markdown.ts'
import { BARE, loadPeer, type PeerFile } from '../peer.ts'
import type { Goal } from './goals.ts'
import type { HeapRequest, HeapResult } from './heap-worker.ts'

const IN_FLIGHT = 5_000
const FILES: readonly PeerFile[] = [
  'fetch',
  'openai-single',
  'openai-cockatiel',
  'ai',
  'langchain',
  'steadycall',
]

/**
 * JavaScript heap per call while 5,000 wait for their answers, each client in a fresh process. Once: runs
 * differ by less than 0.1 KiB.
 */
export async function heapTable(
  provider: string,
): Promise<{ readonly text: string; readonly goal: Goal }> {
  const results = new Map<string, number>()
  for (const file of FILES) {
    const { name } = await loadPeer(file)
    results.set(name, await measure(file, provider))
    process.stderr.write(`  heap: ${name}\n`)
  }
  const base = results.get(BARE) ?? Number.NaN
  const rows = [...results].map(([name, bytes]) => [
    name,
    (bytes / 1_024).toFixed(1),
    (bytes / base).toFixed(2),
  ])
  const measured = (results.get('steadycall') ?? Number.NaN) / base
  return {
    text: table(['', 'KiB per call', 'ratio to openai'], rows),
    goal: { what: 'heap with 5,000 calls in flight', limit: 1.15, measured, unit: '×' },
  }
}

async function measure(file: PeerFile, provider: string): Promise<number> {
  const worker = await startChild<HeapRequest, HeapResult>(
    new URL('heap-worker.ts', import.meta.url),
    [file, provider],
    ['--expose-gc'],
  )
  const { perCall } = await worker.ask({ inFlight: IN_FLIGHT })
  await worker.close()
  return perCall
}
