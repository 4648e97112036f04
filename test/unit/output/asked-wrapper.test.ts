import { describe, expect, it } from 'vitest'
import { parseAnswer as parsing } from '../../../src/output/parse-json.ts'
import { formatRequest } from '../../../src/output/response-format.ts'
import { compileSchema } from '../../../src/output/schema.ts'
import { atOnce } from '../../../src/output/work.ts'

const parseAnswer = (...given: Parameters<typeof parsing>) => atOnce(parsing(...given))

describe('an answer asked for as the property of an object', () => {
  const confident = {
    type: 'object',
    properties: { answer: { type: 'string' }, confidence: { type: 'number' } },
    required: ['answer', 'confidence'],
    additionalProperties: false,
  }
  const schema = compileSchema({ anyOf: [{ type: 'string' }, confident] })
  const { undo } = formatRequest(schema, 'strict')

  it('is taken out of that object', () => {
    expect(parseAnswer('{"answer":"42"}', schema, { undo })).toEqual({
      ok: true,
      value: '42',
      repairs: [],
    })
  })

  it('is not taken out of an object of the schema that has such a property among others', () => {
    expect(parseAnswer('{"answer":"42","confidence":0.9}', schema, { undo })).toEqual({
      ok: true,
      value: { answer: '42', confidence: 0.9 },
      repairs: [],
    })
  })
})
