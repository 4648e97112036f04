import { type Child, startChild } from '../child.ts'
import { table } from '../markdown.ts'
import { BARE, loadPeer, PEER_FILES, type Peer, type PeerFile } from '../peer.ts'
import { median, middleHalf } from '../statistics.ts'
import type { BlockRequest, BlockResult } from './worker.ts'

const FILES: readonly PeerFile[] = [...PEER_FILES, 'steadycall-traced']
const ROUNDS = 25
const WARM_UP_CALLS = 3_000

interface Mode extends BlockRequest {
  readonly title: string
}

const MODES: readonly Mode[] = [
  { title: 'Plain, one at a time', kind: 'plain', atOnce: 1, calls: 100 },
  { title: 'Plain, 64 at once', kind: 'plain', atOnce: 64, calls: 384 },
  { title: 'Structured, one at a time', kind: 'structured', atOnce: 1, calls: 100 },
  { title: 'Structured, 64 at once', kind: 'structured', atOnce: 64, calls: 384 },
]

interface Runner {
  readonly peer: Peer
  readonly child: Child<BlockRequest, BlockResult>
}

/**
 * Latency and CPU of every client in alternating blocks: each client in a process of its own, one of
 * them at work at a time, so that all meet the same machine and none the other's garbage.
 */
export async function latencyTables(provider: string): Promise<string> {
  const runners = await Promise.all(FILES.map((file) => start(file, provider)))
  const sections: string[] = []
  for (const mode of MODES) {
    sections.push(`**${mode.title}**\n\n${await modeTable(mode, runners)}`)
    process.stderr.write(`  ${mode.title}\n`)
  }
  for (const { child } of runners) await child.close()
  return sections.join('\n')
}

async function start(file: PeerFile, provider: string): Promise<Runner> {
  const child = await startChild<BlockRequest, BlockResult>(new URL('worker.ts', import.meta.url), [
    file,
    `${provider}/v1`,
  ])
  return { peer: await loadPeer(file), child }
}

async function modeTable(mode: Mode, all: readonly Runner[]): Promise<string> {
  const runners = all.filter(
    ({ peer }) => mode.kind === 'structured' || !peer.name.includes('instructor'),
  )
  const results = await inTurn(runners, mode, ROUNDS)
  const base = results.get(BARE) ?? []
  return table(
    TITLES,
    [...results].map(([name, blocks]) => row(name, blocks, base)),
  )
}

async function inTurn(
  runners: readonly Runner[],
  { kind, atOnce, calls }: BlockRequest,
  rounds: number,
): Promise<ReadonlyMap<string, readonly BlockResult[]>> {
  for (const { child } of runners) await child.ask({ kind, atOnce, calls: WARM_UP_CALLS })
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

/** steadycall's CPU per call as a multiple of the bare client's: the median of so many rounds. */
export async function cpuRatio(
  provider: string,
  block: BlockRequest,
  rounds: number,
): Promise<number> {
  const files: readonly PeerFile[] = ['openai-single', 'steadycall']
  const runners = await Promise.all(files.map((file) => start(file, provider)))
  const [base = [], own = []] = [...(await inTurn(runners, block, rounds)).values()]
  for (const { child } of runners) await child.close()
  return median(own.map(({ cpu }, round) => cpu / (base[round]?.cpu ?? Number.NaN)))
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
