import { type Child, startChild } from '../child.ts'
import { table } from '../markdown.ts'
import { BARE, loadPeer, PEER_FILES, type Peer, type PeerFile, TRANSPORT_FILES } from '../peer.ts'
import { median, middleHalf } from '../statistics.ts'
import { NO_NETWORK } from './completion.ts'
import type { Goal } from './goals.ts'
import type { BlockRequest, BlockResult } from './worker.ts'

export const FILES: readonly PeerFile[] = [...PEER_FILES, ...TRANSPORT_FILES, 'steadycall-traced']
export const ROUNDS = 13
const WARM_UP_CALLS = 3_000
// Of code that has run before, in another mode.
const LATER_WARM_UP_CALLS = 1_000

interface Mode extends BlockRequest {
  readonly title: string
}

const MODES: readonly Mode[] = [
  { title: 'Plain, one at a time', kind: 'plain', atOnce: 1, calls: 100 },
  { title: 'Plain, 64 at once', kind: 'plain', atOnce: 64, calls: 384 },
  { title: 'Structured, one at a time', kind: 'structured', atOnce: 1, calls: 100 },
  { title: 'Structured, 64 at once', kind: 'structured', atOnce: 64, calls: 384 },
]

interface Measured {
  readonly text: string
  readonly goals: readonly Goal[]
}

interface Runner {
  readonly peer: Peer
  readonly child: Child<BlockRequest, BlockResult>
  isWarm: boolean
}

/**
 * Latency and CPU of every client in alternating blocks: each client in a process of its own, one of
 * them at work at a time, so that all meet the same machine and none the other's garbage.
 */
export async function latencyTables(provider: string): Promise<Measured> {
  const runners = await Promise.all(FILES.map((file) => start(file, `${provider}/v1`)))
  const sections: string[] = []
  const goals: Goal[] = []
  for (const mode of MODES) {
    const results = await inTurn(ableTo(mode, runners), mode, ROUNDS)
    sections.push(`**${mode.title}**\n\n${modeTable(results)}`)
    goals.push(...goalsOf(mode, results))
    process.stderr.write(`  ${mode.title}\n`)
  }
  for (const { child } of runners) await child.close()
  return { text: sections.join('\n'), goals }
}

// Their cost is in what the answer from memory leaves out.
const SENDS_BY_ITSELF: ReadonlySet<PeerFile> = new Set(['fetch', 'instructor', ...TRANSPORT_FILES])

/** The same with a `fetch` that answers from memory, in one long loop. */
export async function ownCodeTable(): Promise<string> {
  const files = FILES.filter((file) => !SENDS_BY_ITSELF.has(file))
  const runners = await Promise.all(files.map((file) => start(file, NO_NETWORK)))
  const rows = new Map<string, string[]>(runners.map(({ peer }) => [peer.name, [peer.name]]))
  for (const kind of ['plain', 'structured'] as const) {
    const results = await inTurn(runners, { kind, atOnce: 1, calls: 600 }, ROUNDS)
    const base = results.get(BARE) ?? []
    for (const [name, blocks] of results) {
      const own = blocks.map(({ cpu }) => cpu)
      const beyond = own.map((cpu, round) => cpu - (base[round]?.cpu ?? Number.NaN))
      rows.get(name)?.push(median(own).toFixed(0), median(beyond).toFixed(0))
    }
  }
  for (const { child } of runners) await child.close()
  const titles = ['', 'plain, µs', 'beyond openai, µs', 'structured, µs', 'beyond openai, µs']
  return table(titles, [...rows.values()])
}

async function start(file: PeerFile, baseURL: string): Promise<Runner> {
  const child = await startChild<BlockRequest, BlockResult>(new URL('worker.ts', import.meta.url), [
    file,
    baseURL,
  ])
  return { peer: await loadPeer(file), child, isWarm: false }
}

function ableTo({ kind }: Mode, all: readonly Runner[]): readonly Runner[] {
  return all.filter(({ peer }) => kind === 'structured' || !peer.name.includes('instructor'))
}

type Results = ReadonlyMap<string, readonly BlockResult[]>

function modeTable(results: Results): string {
  const base = results.get(BARE) ?? []
  return table(
    TITLES,
    [...results].map(([name, blocks]) => row(name, blocks, base)),
  )
}

function goalsOf({ title, atOnce }: Mode, results: Results): readonly Goal[] {
  const own = results.get('steadycall') ?? []
  const base = results.get(BARE) ?? []
  const cpu = median(own.map((block, round) => block.cpu / (base[round]?.cpu ?? Number.NaN)))
  const p50 = median(own.map((block, round) => block.p50 - (base[round]?.p50 ?? Number.NaN)))
  const ofCpu: Goal = { what: `CPU: ${title.toLowerCase()}`, limit: 1.1, measured: cpu, unit: '×' }
  // Of 64 at once, each waits for the work of the others: their median is CPU time once more.
  if (atOnce > 1) return [ofCpu]
  return [ofCpu, { what: `median: ${title.toLowerCase()}`, limit: 60, measured: p50, unit: 'µs' }]
}

async function inTurn(
  runners: readonly Runner[],
  { kind, atOnce, calls }: BlockRequest,
  rounds: number,
): Promise<Results> {
  for (const runner of runners) {
    const warmUp = runner.isWarm ? LATER_WARM_UP_CALLS : WARM_UP_CALLS
    await runner.child.ask({ kind, atOnce, calls: warmUp })
    runner.isWarm = true
  }
  const results = new Map(runners.map(({ peer }) => [peer.name, [] as BlockResult[]]))
  for (let round = 0; round < rounds; round++) {
    // Each starts a round in turn: who follows whom must not matter.
    for (let place = 0; place < runners.length; place++) {
      const runner = runners[(round + place) % runners.length]
      if (runner === undefined) continue
      results.get(runner.peer.name)?.push(await runner.child.ask({ kind, atOnce, calls }))
    }
  }
  return results
}

const TITLES = [
  '',
  'p50, µs',
  'beyond openai, µs',
  'p99, µs',
  'ratio',
  'CPU, µs',
  'ratio (middle half)',
  'calls/s',
  'ratio',
]

/** Medians over the blocks; ratios and differences are taken round by round first. */
function row(name: string, own: readonly BlockResult[], base: readonly BlockResult[]) {
  const of = (key: keyof BlockResult) => own.map((block) => block[key])
  const against = (compare: (a: BlockResult, b: BlockResult) => number) =>
    own.flatMap((block, round) => {
      const other = base[round]
      return other === undefined ? [] : [compare(block, other)]
    })
  const cpu = against((a, b) => a.cpu / b.cpu)
  const [low, high] = middleHalf(cpu)
  return [
    name,
    median(of('p50')).toFixed(0),
    median(against((a, b) => a.p50 - b.p50)).toFixed(0),
    median(of('p99')).toFixed(0),
    median(against((a, b) => a.p99 / b.p99)).toFixed(2),
    median(of('cpu')).toFixed(0),
    `${median(cpu).toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`,
    (1_000_000 / median(of('wall'))).toFixed(0),
    median(against((a, b) => b.wall / a.wall)).toFixed(2),
  ]
}
