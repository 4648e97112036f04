import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJson } from '../../src/output/parse-json.ts'
import { compileSchema } from '../../src/output/schema.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'

const RUNS = fuzzRuns(500)

const SCHEMA = compileSchema({
  type: 'object',
  properties: {
    title: { type: 'string' },
    count: { type: 'integer' },
    ratio: { type: 'number' },
    done: { type: 'boolean' },
    status: { enum: ['open', 'closed', 'Waiting'] },
    note: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    parts: {
      type: 'array',
      items: {
        type: 'object',
        properties: { id: { type: 'integer' }, label: { type: 'string' } },
        required: ['id', 'label'],
      },
    },
  },
  required: ['title', 'count', 'parts'],
  additionalProperties: false,
})

interface Part {
  readonly id: number
  readonly label: string
}

interface Answer {
  readonly title: string
  readonly count: number
  readonly ratio?: number
  readonly done?: boolean
  readonly status?: string
  readonly note?: string | null
  readonly parts: readonly Part[]
}

// Text that invites mistakes: everything a scanner could take for structure.
const tricky = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc
    .array(
      fc.constantFrom(
        ...['"', "'", '\\', '{', '}', '[', ']', ',', ':', '```', '<think>', '</think>', '//'],
        ...['/*', '...', '#', '\n', ' ', 'a', '1', 'True', '\\n', '\\frac', 'it’s', '“'],
      ),
      { maxLength: 8 },
    )
    .map((pieces) => pieces.join('')),
)
const integer = fc.maxSafeInteger()
const answers: fc.Arbitrary<Answer> = fc.record(
  {
    title: tricky,
    count: integer,
    ratio: fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (n === 0 ? 0 : n)),
    done: fc.boolean(),
    status: fc.constantFrom('open', 'closed', 'Waiting'),
    note: fc.option(tricky),
    parts: fc.array(fc.record({ id: integer, label: tricky }), { maxLength: 4 }),
  },
  { requiredKeys: ['title', 'count', 'parts'] },
)

/** As a model writes it that forgets to escape quotes, but no other escape. */
function withBareQuotes(answer: Answer): string {
  return JSON.stringify(answer).replace(/\\(.)/g, (found, character) =>
    character === '"' ? '"' : found,
  )
}

describe('parseJson', () => {
  it('returns what validates unchanged', () => {
    fc.assert(
      fc.property(answers, fc.constantFrom(undefined, 2), (answer, indent) => {
        expect(parseJson(JSON.stringify(answer, undefined, indent), SCHEMA)).toEqual({
          ok: true,
          value: answer,
          repairs: [],
        })
      }),
    )
  })

  it('returns any JSON unchanged without a schema', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(parseJson(text)).toEqual({ ok: true, value: JSON.parse(text), repairs: [] })
      }),
    )
  })

  const damages: Readonly<Record<string, (answer: Answer) => string>> = {
    'a fence': (answer) => `\`\`\`json\n${JSON.stringify(answer, undefined, 2)}\n\`\`\``,
    prose: (answer) => `Here you are, it's done:\n${JSON.stringify(answer)}\nAnything else?`,
    reasoning: (answer) => `<think>{"title":"no"} [1, 2</think>${JSON.stringify(answer)}`,
    'trailing commas': (answer) => JSON.stringify(answer).replace(/\}$/, ',}'),
    comments: (answer) => JSON.stringify(answer).replace(/^\{/, '{ // here it is\n'),
    'literals of Python': (answer) => pythonOf(answer),
    'numbers as strings': (answer) => JSON.stringify({ ...answer, count: String(answer.count) }),
    'numbers as strings, deeper': (answer) =>
      JSON.stringify({
        ...answer,
        parts: answer.parts.map((part) => ({ ...part, id: String(part.id) })),
      }),
    'an enum in capitals': (answer) =>
      JSON.stringify({ ...answer, status: answer.status?.toUpperCase() }),
    'a boolean of Python as a string': (answer) =>
      JSON.stringify({ ...answer, done: answer.done && 'True' }),
    'a wrapper': (answer) => JSON.stringify({ result: answer }),
    'a stringified list': (answer) =>
      JSON.stringify({ ...answer, parts: JSON.stringify(answer.parts) }),
    'a repetition': (answer) =>
      `${JSON.stringify(answer)}\n${JSON.stringify(answer, undefined, 1)}`,
  }

  it.each(Object.entries(damages))('undoes %s exactly', (_, damage) => {
    fc.assert(
      fc.property(answers, (answer) => {
        const result = parseJson(damage(answer), SCHEMA)
        expect(result).toMatchObject({ ok: true })
        expect(result.ok && result.value).toEqual(answer)
      }),
    )
  })

  it('undoes damages on top of each other exactly, or refuses', () => {
    const textual = fc.constantFrom('a fence', 'prose', 'trailing commas', 'comments')
    fc.assert(
      fc.property(answers, textual, fc.nat(20), (answer, damage, at) => {
        const text = damages[damage]?.(answer) ?? ''
        // Not inside an escape, which a line break would make another one.
        const seam = text.indexOf(':', at) + 1
        const broken = `${text.slice(0, seam)}\n${text.slice(seam)}`
        const result = parseJson(broken, SCHEMA)
        // A line break inside a string is part of the string.
        if (result.ok) expect(withoutBreaks(result.value)).toBe(withoutBreaks(answer))
      }),
    )
  })

  it('undoes quotes that were not escaped exactly, or refuses', () => {
    fc.assert(
      fc.property(answers, (answer) => {
        const result = parseJson(withBareQuotes(answer), SCHEMA)
        if (result.ok) expect(result.value).toEqual(answer)
      }),
      { numRuns: RUNS },
    )
  })

  it('neither throws nor hangs, whatever the text', () => {
    const pieces = fc.oneof(
      tricky,
      fc.constantFrom(...'{}[]",:\\'),
      fc.constantFrom(
        '{"title":"',
        '"count":1',
        '"parts":[',
        '```json\n',
        '<think>',
        '\u0000',
        '"',
        '\ud800',
      ),
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40, size: 'max' }), (parts) => {
        const result = parseJson(parts.join(''), SCHEMA)
        if (result.ok) expect(SCHEMA.validate(result.value)).toEqual([])
      }),
      { numRuns: RUNS },
    )
  })

  it('never completes a text that was cut', () => {
    fc.assert(
      fc.property(answers, fc.double({ min: 0, max: 1, noNaN: true }), (answer, share) => {
        const text = JSON.stringify(answer)
        const cut = text.slice(0, Math.min(Math.ceil(text.length * share), text.length - 1))
        expect(parseJson(cut, SCHEMA)).toMatchObject({ ok: false })
      }),
    )
  })

  it('returns only what the schema accepts, whatever was cut out or put in', () => {
    const noise = fc.constantFrom(
      '"',
      "'",
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '\\',
      '\n',
      '/',
      '`',
      'x',
      '1',
    )
    fc.assert(
      fc.property(
        answers,
        fc.array(fc.tuple(fc.nat(400), noise), { maxLength: 4 }),
        fc.boolean(),
        (answer, edits, lenient) => {
          let text = JSON.stringify(answer)
          for (const [at, character] of edits) {
            text = text.slice(0, at) + character + text.slice(at + (at % 2))
          }
          const result = parseJson(text, SCHEMA, { level: lenient ? 'lenient' : 'safe' })
          if (result.ok) expect(SCHEMA.validate(result.value)).toEqual([])
          else expect(result.issues).not.toEqual([])
        },
      ),
      { numRuns: fuzzRuns(500) },
    )
  })

  it('never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(tricky, fc.string()), fc.boolean(), (text, typed) => {
        expect(parseJson(text, typed ? SCHEMA : undefined)).toHaveProperty('ok')
      }),
      { numRuns: fuzzRuns(1_000) },
    )
  })
})

function withoutBreaks(value: unknown): string {
  return JSON.stringify(value).replaceAll('\\n', '')
}

/** As Python's repr writes a dict. */
function pythonOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonOf).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([key, member]) => `'${key}': ${pythonOf(member)}`)
    return `{${members.join(', ')}}`
  }
  if (typeof value === 'string') {
    return `'${JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
  }
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  return value === null ? 'None' : JSON.stringify(value)
}
