import type { Goal } from './goals.ts'
import type { Result } from './measure.ts'
import type { Scenario } from './scenario.ts'
import { scenarioNamed } from './scenarios.ts'
import { medians, type Numbers } from './summary.ts'

/** What one policy came to in one scenario, in the median. */
export interface Figures extends Numbers {
  /** Of a limit per minute, what was used in the worst of its phases, percent. NaN without one. */
  readonly used: number
}

/** All that a goal may be compared with. */
export interface Played {
  readonly scenario: Scenario
  readonly ours: Figures
  /** Of those that are no policy of ours. */
  readonly peers: ReadonlyMap<string, Figures>
  /** The same policy in another scenario. */
  readonly elsewhere: (scenario: string) => Figures
}

/** A bound with what was measured. */
export interface Verdict {
  readonly text: string
  readonly met: boolean
}

/** Of the runs of one policy. */
export function figuresOf(scenario: Scenario, runs: readonly Result[]): Figures {
  const worst = runs.map((run) => usedOf(scenario, run)).toSorted((a, b) => a - b)
  return { ...medians(runs), used: worst[Math.floor(worst.length / 2)] ?? Number.NaN }
}

/** Which bounds a policy keeps. */
export function verdicts({ checks }: Goal, played: Played): readonly Verdict[] {
  return checks.flatMap(({ what, of, least, most, show }) => {
    const value = played.ours[of]
    const bounds = [
      ...(least === undefined ? [] : [{ sign: '≥', bound: least(played), isLeast: true }]),
      ...(most === undefined ? [] : [{ sign: '≤', bound: most(played), isLeast: false }]),
    ]
    // Where no other serves as many there is nobody to compare with.
    const known = bounds.filter(({ bound }) => bound < Infinity)
    return known.map(({ sign, bound, isLeast }) => ({
      text: `${what} ${show(value)} (${sign} ${show(bound)})`,
      // A tenth of what is shown is no miss.
      met: isLeast ? value >= bound - 0.005 : value <= bound + 0.005,
    }))
  })
}

const MINUTE_S = 60

/** Phases of a limit that changes, without the first minute of each. */
function usedOf({ provider, untilMs, faultMs }: Scenario, { perSecond }: Result): number {
  const { limit, faults } = provider
  if (limit === undefined) return Number.NaN
  const usual = limit.unit === 'tokens' ? limit.perMinute / MEAN_TOKENS : limit.perMinute
  const untilS = untilMs / 1_000
  const [fromS, backS] = [faultMs?.from ?? untilMs, faultMs?.until ?? untilMs].map(
    (ms) => ms / 1_000,
  ) as [number, number]
  const part = faults[0]?.fault.kind === 'limit' ? faults[0].fault.times : 1
  const phases = [
    { fromS: 0, untilS: fromS, perMinute: usual },
    { fromS, untilS: backS, perMinute: usual * part },
    { fromS: backS, untilS, perMinute: usual },
  ]
  const parts = phases.flatMap((phase) => {
    const first = phase.fromS + MINUTE_S
    if (first >= phase.untilS) return []
    let served = 0
    for (let second = first; second < phase.untilS; second += 1) {
      served += perSecond.served[second] ?? 0
    }
    return [(100 * served * MINUTE_S) / ((phase.untilS - first) * phase.perMinute)]
  })
  return Math.min(...parts)
}

const MEAN_TOKENS = 1_500

/** The peer that serves most; of those that serve as many the one that sends least. */
export function bestOf(
  peers: ReadonlyMap<string, Figures>,
): readonly [string, Figures] | undefined {
  const most = Math.max(...[...peers.values()].map(({ goodput }) => goodput))
  return [...peers]
    .filter(([, { goodput }]) => goodput >= most - 0.05)
    .toSorted(([, a], [, b]) => a.amplification - b.amplification)[0]
}

/** Every policy that a goal needs, by scenario. */
export function neededFor(chosen: readonly Goal[]): ReadonlyMap<string, ReadonlySet<string>> {
  const all = new Map<string, Set<string>>()
  const need = (id: string, names: readonly string[]) => {
    const known = all.get(id) ?? new Set()
    for (const name of names) known.add(name)
    all.set(id, known)
  }
  for (const { scenario, policy, needs = [] } of chosen) {
    need(scenario, [policy, ...peersOf(scenarioNamed(scenario))])
    for (const other of needs) need(other, [policy])
  }
  return all
}

/** Policies of others that are judged beside ours. */
export function peersOf({ policies }: Scenario): readonly string[] {
  return policies.flatMap(({ name }) => (isOurs(name) || BESIDE.has(name) ? [] : [name]))
}

/** p-retry's ten retries wait up to 17 minutes for one call: nobody is judged beside them. */
const BESIDE: ReadonlySet<string> = new Set(['nested 27', 'p-retry'])

function isOurs(name: string): boolean {
  return name.startsWith('steadycall')
}
