import { lineScenarios } from './line-scenarios.ts'
import type { Scenario } from './scenario.ts'
import { scenarios } from './storm-scenarios.ts'

export function scenarioNamed(id: string): Scenario {
  const all: readonly Scenario[] = [...scenarios, ...lineScenarios]
  const found = all.find((scenario) => scenario.id === id)
  if (found === undefined) {
    const known = all.map((scenario) => scenario.id).join(', ')
    throw new RangeError(`There is no scenario '${id}'; there are ${known}`)
  }
  return found
}
