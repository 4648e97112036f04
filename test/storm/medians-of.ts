import { Pool } from '../../bench/storm/pool.ts'
import { medians, type Numbers } from '../../bench/storm/summary.ts'

const SEEDS = 20
const pool = new Pool()
const known = new Map<string, Promise<Numbers>>()

/** What a scenario comes to under a policy of the table: medians of twenty seeds, played once. */
export function mediansOf(scenario: string, policy: string, untilMs?: number): Promise<Numbers> {
  const key = `${scenario} ${policy} ${untilMs}`
  const found = known.get(key) ?? playNamed(scenario, policy, untilMs)
  known.set(key, found)
  return found
}

async function playNamed(
  scenario: string,
  policy: string,
  untilMs: number | undefined,
): Promise<Numbers> {
  const task = { scenario, policy, ...(untilMs !== undefined && { untilMs }) }
  return medians(await pool.playSeeds(task, SEEDS))
}

/** Twenty runs of some 21,000 calls take seconds, and other tests run beside them. */
export const PATIENCE = { timeout: 120_000 }
/** Recovery that never came, as a number of seconds. */
export const NEVER = Number.POSITIVE_INFINITY
