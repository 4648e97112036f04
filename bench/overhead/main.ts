import { startChild } from '../child.ts'
import { loadPeer, PEER_FILES } from '../peer.ts'
import { heapTable } from './heap.ts'
import { importTable } from './import-time.ts'
import { latencyTables } from './latency.ts'

/** What a call costs that has nothing to recover from. Prints its section of the results. */
const provider = await startChild<object, string>(new URL('provider.ts', import.meta.url))
const peers = await Promise.all([...PEER_FILES, 'steadycall-traced' as const].map(loadPeer))

process.stdout.write(`Real HTTP to a server in a process of its own; every client in a process of its own; in turn,
a block of calls each, some dozens of times. Medians over the blocks; differences and ratios are to
\`openai, maxRetries: 0\` in the same round. CPU is user and system time of the client's process.

${peers.map(({ name, setUp }) => `- **${name}**: ${setUp}`).join('\n')}

${await latencyTables(provider.first)}
Goals, for steadycall without an SDK: CPU at most 1.10 times openai's, median at most 60 µs beyond it.

**Heap with 5,000 calls in flight** (goal: at most 1.15 times openai's)

${await heapTable(provider.first)}
**Import, in a new process** (goal: at most 40 ms beyond openai)

${await importTable()}`)
await provider.close()
process.exit()
