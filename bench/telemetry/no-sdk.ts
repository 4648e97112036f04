import { registerHooks } from 'node:module'
import { availableParallelism } from 'node:os'
import OpenAI from 'openai'
import { startFaultServer } from '../../src/testing/index.ts'

/**
 * What telemetry costs where no SDK is registered: steadycall as it is beside a second copy in which
 * every call into `telemetry/` does nothing, in alternating blocks of one process.
 */
type Library = typeof import('../../src/index.ts')
type Work = () => Promise<unknown>

const BARE = '?bare'

/** Loads a second copy of src/ under another name, with the stub in the place of telemetry. */
async function withoutTelemetry(): Promise<Library> {
  let isReplaced = false
  registerHooks({
    resolve(specifier, context, next) {
      const found = next(specifier, context)
      const isOfCopy = context.parentURL?.endsWith(BARE) === true && found.url.includes('/src/')
      if (!isOfCopy) return found
      const isTelemetry = found.url.endsWith('/telemetry/telemetry.ts')
      isReplaced ||= isTelemetry
      const url = isTelemetry ? new URL('stub.ts', import.meta.url).href : found.url
      return { ...found, url: url + BARE }
    },
  })
  const library: Library = await import(new URL(`../../src/index.ts${BARE}`, import.meta.url).href)
  if (!isReplaced) throw new Error('telemetry was not replaced')
  return library
}

/** Microseconds per call of each work, in alternating blocks: both meet the same noise. */
async function compare(
  works: readonly Work[],
  perBlock: number,
  blocks: number,
): Promise<number[][]> {
  const times = works.map((): number[] => [])
  for (let block = -2; block < blocks; block++) {
    // The order changes too: who comes first may pay for the other's garbage.
    const order = block % 2 === 0 ? [0, 1] : [1, 0]
    for (const index of order) {
      const work = works[index]
      if (work === undefined) continue
      const startedMs = performance.now()
      for (let call = 0; call < perBlock; call++) await work()
      const each = ((performance.now() - startedMs) * 1_000) / perBlock
      // The first blocks are the compiler's.
      if (block >= 0) times[index]?.push(each)
    }
  }
  return times
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function callsOf(library: Library, baseURL: string): { readonly run: Work; readonly chat: Work } {
  const client = new OpenAI({ apiKey: 'bench', baseURL })
  const llm = library.steady(client, { runtime: library.createRuntime() })
  const messages = [{ role: 'user' as const, content: 'hello' }]
  return {
    run: () => llm.run('nothing', async () => 1),
    chat: () => llm.chat.completions.create({ model: 'm', messages }),
  }
}

const server = await startFaultServer()
const shipped = callsOf(await import('../../src/index.ts'), server.baseURL)
const bare = callsOf(await withoutTelemetry(), server.baseURL)

console.log(
  `Node ${process.versions.node}, ${availableParallelism()} cores, no SDK; medians of alternating blocks\n`,
)
console.log(
  '| call | without telemetry, µs | with, µs | difference, µs | ratio | ratio in half of the blocks |',
)
console.log('|---|---:|---:|---:|---:|---:|')
for (const [name, works, perBlock, blocks] of [
  ['`run` of a function that does nothing', [bare.run, shipped.run], 2_000, 60],
  ['`create` over HTTP on this machine', [bare.chat, shipped.chat], 100, 60],
] as const) {
  const [without = [], withIt = []] = await compare(works, perBlock, blocks)
  const ratios = withIt.map((each, block) => each / (without[block] ?? Number.NaN))
  const sorted = ratios.toSorted((a, b) => a - b)
  const quartile = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(2)
  const [base, cost] = [median(without), median(withIt)]
  const cells = [
    base.toFixed(1),
    cost.toFixed(1),
    (cost - base).toFixed(1),
    median(ratios).toFixed(3),
  ]
  console.log(`| ${name} | ${cells.join(' | ')} | ${quartile(0.25)}–${quartile(0.75)} |`)
}
await server.close()
