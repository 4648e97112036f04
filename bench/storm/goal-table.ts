import { type Goal, goals } from './goals.ts'
import { bestOf, type Figures, figuresOf, neededFor, peersOf, verdicts } from './judging.ts'
import type { Pool } from './pool.ts'
import { scenarioNamed } from './scenarios.ts'

/** Plays what the goals need, and says of each scenario how ours does beside the best of the others. */
export async function goalTable(
  pool: Pool,
  seeds: readonly number[],
  scenarios: readonly string[] | undefined,
  print: (line: string) => void,
): Promise<void> {
  const chosen = goals.filter(({ scenario }) => scenarios?.includes(scenario) ?? true)
  const figures = play(pool, seeds, chosen)
  print('| scenario | policy | share | requests | p99 | best of the others | goals |')
  print('| --- | --- | ---: | ---: | ---: | --- | --- |')
  let met = 0
  for (const goal of chosen) {
    const { cells, isMet } = rowOf(goal, await figuresFor(goal, figures))
    print(`| ${cells.join(' | ')} |`)
    if (isMet) met += 1
  }
  print(`\n${met} of ${chosen.length} rows meet all their goals.`)
}

type Of<T> = ReadonlyMap<string, T>

/** All are begun at once, in the order in which they are needed. */
function play(
  pool: Pool,
  seeds: readonly number[],
  chosen: readonly Goal[],
): Of<Of<Promise<Figures>>> {
  const all = [...neededFor(chosen)].map(([id, names]) => {
    const played = [...names].map(
      (name) =>
        [
          name,
          pool
            .playSeeds({ scenario: id, policy: name }, seeds)
            .then((runs) => figuresOf(scenarioNamed(id), runs)),
        ] as const,
    )
    return [id, new Map(played)] as const
  })
  return new Map(all)
}

async function figuresFor(
  { scenario, needs = [] }: Goal,
  all: Of<Of<Promise<Figures>>>,
): Promise<Of<Of<Figures>>> {
  const entries = [scenario, ...needs].map(async (id) => {
    const found = [...(all.get(id) ?? [])].map(
      async ([name, figures]) => [name, await figures] as const,
    )
    return [id, new Map(await Promise.all(found))] as const
  })
  return new Map(await Promise.all(entries))
}

function rowOf(
  goal: Goal,
  all: Of<Of<Figures>>,
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
