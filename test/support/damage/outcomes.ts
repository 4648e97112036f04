import { isDeepStrictEqual } from 'node:util'
import type { ParseJson } from '../../../bench/output/builds.ts'
import type { FaultName } from '../../../bench/output/goals.ts'
import { type DamagedText, damagedText, doublyDamagedText } from './damaged-texts.ts'

/** What a parser made of damaged texts: the original, nothing, or another value. */
export interface Outcomes {
  exact: number
  refused: number
  readonly altered: Altered[]
}

interface Altered extends DamagedText {
  readonly value: unknown
}

/** Of `runs` texts with one fault, or `'pair'` for two, from a seed on. */
export function outcomesOf(
  parseJson: ParseJson,
  name: FaultName | 'pair',
  runs: number,
  seed: number,
): Outcomes {
  const outcomes: Outcomes = { exact: 0, refused: 0, altered: [] }
  for (let run = 0; run < runs; run += 1) {
    const damaged = name === 'pair' ? doublyDamagedText(seed + run) : damagedText(name, seed + run)
    const result = parseJson(damaged.text, damaged.schema)
    if (!result.ok) outcomes.refused += 1
    else if (isDeepStrictEqual(plain(result.value), plain(damaged.original))) outcomes.exact += 1
    else outcomes.altered.push({ ...damaged, value: result.value })
  }
  return outcomes
}

/** Without prototypes, and -0 as 0. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}
