import { startChild } from '../child.ts'
import { table } from '../markdown.ts'
import { loadPeer, type PeerFile } from '../peer.ts'
import type { Refusal } from './provider.ts'
import type { StormRequest, StormResult } from './worker.ts'

/** Twice as many calls as the provider has room for, in real time. Prints its section of the results. */
const CALLS = 2_000
const CALLS_PER_SECOND = 200
const CAPACITY_PER_SECOND = 100
const FILES: readonly PeerFile[] = [
  'fetch',
  'openai-single',
  'openai-default',
  'openai-p-retry',
  'openai-cockatiel',
  'ai',
  'langchain',
  'steadycall',
]

async function stormOf(file: PeerFile, refusal: Refusal): Promise<StormResult> {
  const worker = await startChild<StormRequest, StormResult>(
    new URL('worker.ts', import.meta.url),
    [file],
  )
  const result = await worker.ask({
    refusal,
    calls: CALLS,
    callsPerSecond: CALLS_PER_SECOND,
    capacityPerSecond: CAPACITY_PER_SECOND,
  })
  await worker.close()
  process.stderr.write(`  ${refusal}: ${file}\n`)
  return result
}

async function stormTable(refusal: Refusal): Promise<string> {
  const rows: (readonly (string | number)[])[] = []
  // One after the other: a client that gets no processor in time is measured for that.
  for (const file of FILES) rows.push(row(await loadPeer(file), await stormOf(file, refusal)))
  return table(
    [
      '',
      'succeeded',
      'requests per call',
      'p50, ms',
      'p99, ms',
      'ms to a failure, p50',
      'over after, s',
    ],
    rows,
  )
}

function row({ name }: { readonly name: string }, result: StormResult) {
  const { succeeded, requests, p50, p99, failedP50, lastedMs } = result
  return [
    name,
    `${((100 * succeeded) / CALLS).toFixed(1)} %`,
    (requests / CALLS).toFixed(2),
    p50.toFixed(0),
    p99.toFixed(0),
    failedP50 === undefined ? '' : failedP50.toFixed(0),
    (lastedMs / 1_000).toFixed(1),
  ]
}

process.stdout.write(`${CALLS.toLocaleString('en')} calls at ${CALLS_PER_SECOND} a second for ten seconds, from one process, to a provider with room for
${CAPACITY_PER_SECOND} a second that answers within 50 ms and refuses the rest at once. Set up as in 'Overhead', with the clients' own defaults;
nobody waits longer than 30 s. Without any retry about half of the calls can succeed; with room for all within
twenty seconds, all could. steadycall lets the others wait: a request that would be refused is not sent.

**Refused with 503, without a hint**

${await stormTable('overloaded')}
**Refused with 429 and \`retry-after: 1\`**

${await stormTable('rate-limited')}`)
process.exit()
