import fc from 'fast-check'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { callReport, type FailureKind } from '../../src/index.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'
import { ask } from '../support/set-up.ts'
import { chunk, finish, pieces, type Reply, type Stage, stageFor } from './stage.ts'

/** Reads a stream: what came of it, with what it ended, and its report. */
async function read({ llm, clock }: Stage) {
  let text = ''
  let error: unknown
  let stream: unknown
  const reading = async () => {
    const opened = await llm.chat.completions.create({ ...ask('go on'), stream: true })
    stream = opened
    for await (const { choices } of opened) text += choices[0]?.delta.content ?? ''
  }
  await finish(
    { clock },
    reading().catch((caught: unknown) => {
      error = caught
    }),
  )
  return { text, error, report: callReport(stream) ?? callReport(error) }
}

function requestsOf({ events }: Stage): number {
  return events.filter(({ type }) => type === 'attempt-started').length
}

const streaming = (
  body: readonly (string | Uint8Array)[],
  then: Reply['then'] = 'ends',
): Reply => ({
  body,
  then,
})
const role = chunk({ delta: { role: 'assistant', content: '' } })
const comment = ': still thinking\n\n'
const azure = `data: ${JSON.stringify({ choices: [], prompt_filter_results: [] })}\n\n`
const usage = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 1 } })}\n\n`
const error = `data: ${JSON.stringify({ error: { message: 'down', type: 'server_error' } })}\n\n`

const ends = [
  ['is closed', 'ends', 'network'],
  ['is reset', 'breaks', 'network'],
  ['goes silent', 'goes silent', 'timeout'],
] as const

describe('a stream that fails before its first content', () => {
  it.each(
    ends.flatMap(([how, then, kind]) =>
      [
        ['nothing at all', []],
        ['a role', [role]],
        ['a comment', [comment]],
        ['a chunk without choices', [azure]],
        ['a chunk with usage only', [usage]],
        ['all of these', [comment, azure, role, usage, comment]],
      ].map(([came, body]) => ({ how, then, kind, came, body: body as readonly string[] })),
    ),
  )('after $came, and $how: is asked for again, and nobody notices', async (given) => {
    const stage = stageFor({ replies: [streaming(given.body, given.then), streaming(pieces)] })
    const { text, error: thrown, report } = await read(stage)
    expect([text, thrown]).toEqual(['Hello you', undefined])
    expect(report?.attempts.map(({ outcome }) => outcome)).toEqual([given.kind, 'success'])
    expect(stage.clock.pending).toBe(0)
  })
})

describe('a stream that fails after its first content', () => {
  it.each(
    ends.flatMap(([how, then, kind]) =>
      [
        ['text', { content: 'Hel' }],
        ['a refusal', { refusal: 'I will' }],
        ['a tool call', { tool_calls: [{ index: 0, id: 't', function: { name: 'f' } }] }],
        ['reasoning', { reasoning_content: 'hm' }],
      ].map(([what, delta]) => ({ how, then, kind, what, delta: delta as object })),
    ),
  )('of $what, and $how: is not asked for again, and says so', async ({ then, kind, delta }) => {
    const stage = stageFor({
      replies: [streaming([role, chunk({ delta })], then), streaming(pieces)],
    })
    const { text, error: thrown, report } = await read(stage)
    expect(thrown).toBeInstanceOf(OpenAI.APIConnectionError)
    expect(text).toBe('content' in delta ? 'Hel' : '')
    expect(requestsOf(stage)).toBe(1)
    expect(report).toMatchObject({ outcome: kind, reason: 'delivered' })
    expect(stage.clock.pending).toBe(0)
  })
})

describe('a stream, wherever it is cut and however its bytes are parted', () => {
  const given = fc.record({
    words: fc.array(fc.string({ unit: 'binary', minLength: 1, maxLength: 6 }), {
      minLength: 1,
      maxLength: 6,
    }),
    /** Bytes that still come. */
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }),
    end: fc.constantFrom(...ends),
    errorEvent: fc.boolean(),
  })

  it('is whole or asked for again before content; after it, a beginning and an error', async () => {
    await fc.assert(
      fc.asyncProperty(given, async ({ words, share, cuts, end: [, then, kind], errorEvent }) => {
        const all = bytes(
          [role, ...words.map((content) => chunk({ delta: { content } }))].join('') +
            chunk({ finish_reason: 'stop' }),
        )
        const kept = all.slice(0, Math.floor(share * all.length))
        // An event that says so in words comes between two others.
        const told = errorEvent
          ? [...parted(upToEvent(kept), cuts), bytes(error)]
          : parted(kept, cuts)
        const whole = words.join('')
        const broken = streaming(told, then)
        const stage = stageFor({ replies: [broken, streaming([...parted(all, cuts)])] })
        const { text, error: thrown, report } = await read(stage)

        const outcomes = report?.attempts.map(({ outcome }) => outcome)
        const failed: FailureKind = errorEvent ? 'server_error' : kind
        expect(stage.clock.pending).toBe(0)
        if (thrown === undefined) {
          expect(text).toBe(whole)
          expect([['success'], [failed, 'success']]).toContainEqual(outcomes)
        } else {
          expect(outcomes).toEqual([failed])
          expect(text.length).toBeGreaterThan(0)
          expect(whole.startsWith(text)).toBe(true)
          expect(thrown).toBeInstanceOf(OpenAI.APIError)
          expect(report).toMatchObject({ outcome: failed, reason: 'delivered' })
        }
      }),
      {
        numRuns: fuzzRuns(400),
        // Cut within the name of the first field.
        examples: [
          [
            {
              words: ['a'],
              share: 0.005,
              cuts: [],
              end: ends[0],
              errorEvent: false,
            },
          ],
        ],
      },
    )
  })
})

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** As much as are whole events. */
function upToEvent(body: Uint8Array): Uint8Array {
  const text = new TextDecoder().decode(body)
  const end = text.lastIndexOf('\n\n')
  return bytes(end === -1 ? '' : text.slice(0, end + 2))
}

/** The same bytes in parts, cut at these shares of their number. */
function parted(body: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [0, ...cuts.map((share) => Math.floor(share * body.length)), body.length]
  const ordered = at.toSorted((a, b) => a - b)
  return ordered.slice(1).map((end, index) => body.slice(ordered[index] ?? 0, end))
}
