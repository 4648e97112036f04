import { expect, it } from 'vitest'
import { isCallError, parseJson } from '../../src/index.ts'
import { answers } from '../../src/testing/index.ts'
import { type DamagedText, damagedText, FAULT_NAMES } from '../support/damage/damaged-texts.ts'
import { ask, setUp } from '../support/set-up.ts'

const SEED = 7_411
const OF_EACH = 4

/** Answers to a schema of an object: a list would be asked for within one. */
const damaged = FAULT_NAMES.flatMap((name) => {
  const found: DamagedText[] = []
  for (let seed = SEED; found.length < OF_EACH; seed += 1) {
    const one = damagedText(name, seed)
    if (one.schema !== undefined && !Array.isArray(one.original)) found.push(one)
  }
  return found
})

it('json makes of a damaged answer what parseJson makes of it', async () => {
  const { llm } = await setUp({ script: damaged.map(({ text }) => answers(text)) })
  for (const { text, schema = {}, faults } of damaged) {
    const expected = parseJson(text, schema, { finishReason: 'stop' })
    const made = await llm
      .json({ ...ask('who?'), schema }, { maxReasks: 0 })
      .then(({ value, repairs }) => ({ ok: true, value, repairs }))
      .catch((error: unknown) => ({ ok: false, kind: isCallError(error) && error.kind }))
    const { issues: _, ...outcome } = { issues: [], ...expected }
    expect(made, `${faults.join()}: ${text}`).toEqual(outcome)
  }
})
