import { describe, expect, it } from 'vitest'
import { readFurtherCases } from '../../../bench/output/cases.ts'
import { GOALS } from '../../../bench/output/goals.ts'
import { readerOf, validatorFor } from '../../../bench/output/readers.ts'
import { readShare, score } from '../../../bench/output/score.ts'
import { parseJson } from '../../../src/output/parse-json.ts'

const cases = readFurtherCases()
const ours = score(cases, readerOf(parseJson))
const names = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name)

describe('the cases in test/fixtures/outputs-further', () => {
  it('are at least 300 texts, each case by a name of its own', () => {
    expect(new Set(cases.map(({ text }) => text)).size).toBeGreaterThanOrEqual(300)
    expect(new Set(names(cases)).size).toBe(cases.length)
  })

  it('expect what their schema accepts', () => {
    const refused = cases.filter(
      ({ schema, expect: expected }) =>
        schema !== undefined && 'value' in expected && !validatorFor(schema, {})(expected.value),
    )
    expect(names(refused)).toEqual([])
  })

  // Not reached yet: a goal that is reached makes `it.fails` fail.
  it.fails('are read exactly, all but a few', () => {
    expect(readShare(ours)).toBeGreaterThanOrEqual(GOALS.cases.readShare)
  })

  it('are never read as something else', () => {
    expect(names(ours.wrong)).toHaveLength(GOALS.cases.wrong)
  })

  it('are never accepted where they must be refused', () => {
    expect(names(ours.wronglyAccepted)).toHaveLength(GOALS.cases.wronglyAccepted)
  })
})
