import type { Result } from '../../bench/storm/measure.ts'
import { LAST_SEED, Pool, seedsFrom } from '../../bench/storm/pool.ts'
import { medians, type Numbers } from '../../bench/storm/summary.ts'

const SEEDS = seedsFrom(1, LAST_SEED)
export const pool = new Pool()
const known = new Map<string, Promise<Result[]>>()

/** A scenario under a policy of the table, with the seeds of the docs; played once, whoever asks. */
export function runsOf(scenario: string, policy: string, untilMs?: number): Promise<Result[]> {
  const key = `${scenario} ${policy} ${untilMs}`
  const task = { scenario, policy, ...(untilMs !== undefined && { untilMs }) }
  const runs = known.get(key) ?? pool.playSeeds(task, SEEDS)
  known.set(key, runs)
  return runs
}

export async function mediansOf(
  scenario: string,
  policy: string,
  untilMs?: number,
): Promise<Numbers> {
  return medians(await runsOf(scenario, policy, untilMs))
}

/** The worst of them, each number for itself. */
export async function worstOf(
  scenario: string,
  policy: string,
  untilMs?: number,
): Promise<Pick<Numbers, 'goodput' | 'recoveryS' | 'inFault'>> {
  const runs = await runsOf(scenario, policy, untilMs)
  return {
    goodput: Math.min(...runs.map(({ goodput }) => goodput)),
    recoveryS: Math.max(...runs.map(({ recoveryS }) => recoveryS)),
    inFault: Math.max(...runs.map(({ inFault }) => inFault)),
  }
}

/** Some runs of 21,000 calls take seconds, and other tests run beside them. */
export const PATIENCE = { timeout: 600_000 }
/** Recovery that never came, as a number of seconds. */
export const NEVER = Number.POSITIVE_INFINITY
