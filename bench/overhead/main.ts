import { startChild } from '../child.ts'
import { loadPeer } from '../peer.ts'
import { goalsTable } from './goals.ts'
import { heapTable } from './heap.ts'
import { importTable } from './import-time.ts'
import { FILES, latencyTables, ownCodeTable, ROUNDS } from './latency.ts'

/** What a call costs that has nothing to recover from. Prints its section of the results. */
const provider = await startChild<object, string>(new URL('provider.ts', import.meta.url))
const peers = await Promise.all(FILES.map(loadPeer))

const latency = await latencyTables(provider.first)
const ownCode = await ownCodeTable()
const heap = await heapTable(provider.first)
const imports = await importTable()

process.stdout.write(`Goals, for a valid first answer and no OpenTelemetry SDK, as ratios to and differences from \`openai, maxRetries: 0\`:

${goalsTable([...latency.goals, heap.goal, imports.goal])}
Why they are missed where they are: a call has a deadline and a signal of its own, a place in the
line of its target, a record of its attempts, and a classification of its answer. In a loop where all of that is in the processor's caches, its
code takes what *Own code* below says. Between two real requests, node's HTTP code and openai's have taken the caches
over, and the same code takes the longer time of the tables; in a profile it is spread over some hundred functions, none
of which stands out. The median is that CPU time once more. The heap is the six
async functions that a call in flight is suspended in, with their promises, beside its record. With an SDK,
the line *traced* says what spans and metrics add.

Real HTTP to a server in a process of its own; every client in a process of its own; in turn, a block of
calls each, ${ROUNDS} times. Medians over the blocks; differences and ratios are to \`openai, maxRetries: 0\` in the
same round. CPU is user and system time of the client's process.

${peers.map(({ name, setUp }) => `- **${name}**: ${setUp}`).join('\n')}

${latency.text}
**Own code**: CPU per call with a \`fetch\` that answers from memory, in blocks of 600 calls, one at a time

${ownCode}
**Heap with 5,000 calls in flight**

${heap.text}
**Import, in a new process**

${imports.text}`)
await provider.close()
process.exit()
