import { describe, expect, it } from 'vitest'
import type { Policy } from '../../bench/storm/policies.ts'
import type { Scenario } from '../../bench/storm/scenario.ts'
import { scenarioNamed } from '../../bench/storm/scenarios.ts'
import { storm } from '../../bench/storm/storm.ts'
import { wholeClient } from './whole-client.ts'

const whole: Policy = { name: 'whole', client: wholeClient, turns: 8 }
const shipped: Policy = { name: 'shipped', shipped: {} }

/** Its fault comes after 10 s and lasts 10 s, and all is over after 40 s. */
function shortened(id: string): Scenario {
  const scenario = scenarioNamed(id)
  const during = { fromMs: 10_000, untilMs: 20_000 }
  const faults = scenario.provider.faults.map((fault) => ({ ...fault, ...during }))
  return {
    ...scenario,
    clients: 5,
    faultMs: { from: during.fromMs, until: during.untilMs },
    untilMs: 40_000,
    provider: { ...scenario.provider, faults },
  }
}

describe('what the simulation drives is what ships', () => {
  it.each(['A', 'B', 'G', 'K20', 'O', 'P'])(
    '%s: a whole openai client, wrapped, makes the same requests at the same microseconds',
    async (id) => {
      const scenario = shortened(id)
      const ours = await storm(scenario, shipped, 1)
      const its = await storm(scenario, whole, 1)
      // The end of one call sends another's request: which of the two comes first in an instant depends
      // on how many promises a call is made of.
      expect({ ...its, hash: '' }).toEqual({ ...ours, hash: '' })
      expect(ours.calls).toBeGreaterThan(1_000)
    },
  )
})
