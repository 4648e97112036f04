import { type Goal, goals } from './goals.ts'
import { bestOf, type Figures, figuresOf, neededFor, peersOf, verdicts } from './judging.ts'
import type { Pool } from './pool.ts'
import { scenarioNamed } from './scenarios.ts'

/** Plays what the goals need, and says of each scenario how ours does beside the best of the others. */
export async function goalTable(
  pool: Pool,
  seeds: readonly number[],
  scenarios: readonly string[] | undefined,
  progress: (done: number, of: number) => void,
): Promise<string> {
  const chosen = goals.filter(({ scenario }) => scenarios?.includes(scenario) ?? true)
  const figures = await played(pool, seeds, chosen, progress)
  const rows = chosen.map((goal) => rowOf(goal, figures))
  const missed = rows.filter(({ isMet }) => !isMet).length
  return [
    '| scenario | policy | share | requests | p99 | best of the others | goals |',
    '| --- | --- | ---: | ---: | ---: | --- | --- |',
    ...rows.map(({ cells }) => `| ${cells.join(' | ')} |`),
    '',
    `${rows.length - missed} of ${rows.length} rows meet all their goals.`,
  ].join('\n')
}

type AllFigures = ReadonlyMap<string, ReadonlyMap<string, Figures>>

async function played(
  pool: Pool,
  seeds: readonly number[],
  chosen: readonly Goal[],
  progress: (done: number, of: number) => void,
): Promise<AllFigures> {
  const needed = [...neededFor(chosen)]
  const total = needed.reduce((sum, [, names]) => sum + names.size, 0)
  let done = 0
  const all = needed.map(async ([id, names]) => {
    const entries = [...names].map(async (name) => {
      const runs = await pool.playSeeds({ scenario: id, policy: name }, seeds)
      done += 1
      progress(done, total)
      return [name, figuresOf(scenarioNamed(id), runs)] as const
    })
    return [id, new Map(await Promise.all(entries))] as const
  })
  return new Map(await Promise.all(all))
}

function rowOf(
  goal: Goal,
  all: AllFigures,
): { readonly cells: readonly string[]; readonly isMet: boolean } {
  const scenario = scenarioNamed(goal.scenario)
  const of = (id: string, policy: string) => {
    const found = all.get(id)?.get(policy)
    if (found === undefined) throw new RangeError(`${policy} was not played in ${id}`)
    return found
  }
  const ours = of(goal.scenario, goal.policy)
  const peers = new Map(peersOf(scenario).map((name) => [name, of(goal.scenario, name)]))
  const found = verdicts(goal, {
    scenario,
    ours,
    peers,
    elsewhere: (id) => of(id, goal.policy),
  })
  const best = bestOf(peers)
  const cells = [
    goal.scenario,
    goal.policy,
    `${ours.goodput.toFixed(1)} %`,
    ours.amplification.toFixed(2),
    `${(ours.p99Ms / 1_000).toFixed(1)} s`,
    best === undefined
      ? ''
      : `${best[0]}: ${best[1].goodput.toFixed(1)} %, ${best[1].amplification.toFixed(2)}, ${(best[1].p99Ms / 1_000).toFixed(1)} s`,
    found.map(({ text, met }) => (met ? text : `**missed: ${text}**`)).join('; '),
  ]
  return { cells, isMet: found.every(({ met }) => met) }
}
