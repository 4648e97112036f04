import { describe, expect, it } from 'vitest'
import { readCases } from '../../../bench/output/cases.ts'
import { readerOf } from '../../../bench/output/readers.ts'
import { score } from '../../../bench/output/score.ts'
import { parseJson } from '../../../src/output/parse-json.ts'

const cases = readCases()
const ours = score(cases, readerOf(parseJson))
const names = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name)

describe('the answers of models in test/fixtures/outputs', () => {
  it('are many, and a good part of them must be refused', () => {
    const refused = cases.filter(({ expect: expected }) => 'refused' in expected)
    expect(cases.length).toBeGreaterThanOrEqual(325)
    expect(refused.length).toBeGreaterThan(cases.length / 5)
    expect(new Set(names(cases)).size).toBe(cases.length)
  })

  it('are read exactly as a careful person would, 95 of 100 at least', () => {
    const readable = ours.exact.length + ours.wrong.length + ours.refused.length
    expect(ours.exact.length / readable, names(ours.refused).join('\n')).toBeGreaterThanOrEqual(
      0.95,
    )
  })

  it('are never read as something else', () => {
    expect(names(ours.wrong)).toEqual([])
  })

  it('are never accepted where they must be refused', () => {
    expect(names(ours.wronglyAccepted)).toEqual([])
  })
})
