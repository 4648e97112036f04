import { describe, expect, it } from 'vitest'
import type { BadAnswer } from '../../../src/index.ts'
import { ask, person, rejection, setUp } from '../../support/set-up.ts'

const answer = ({ body }: { body: Record<string, unknown> }) =>
  (body['messages'] as object[]).length === 1
    ? '{"name":"Ann","height":3}'
    : '{"name":"Ann","age":36}'
const who = { ...ask('who?'), schema: person }

describe('a re-ask', () => {
  it('says where it is wrong, what was expected and what is allowed', async () => {
    const { llm, server } = await setUp({ answer })
    await llm.json(who)
    const messages = server.requests[1]?.body?.messages ?? []
    expect(messages).toHaveLength(3)
    expect(messages[0]).toEqual(who.messages[0])
    const said = String(messages[2]?.content)
    expect(said).toContain('missing required property "age"')
    expect(said).toContain('declared are "name", "age"')
  })

  it('can be worded by the caller, who is given the answer, its errors and the usual words', async () => {
    const seen: BadAnswer[] = []
    const { llm, server } = await setUp(
      { answer },
      {
        reaskMessages: (bad, usual) => {
          seen.push(bad)
          return [...usual.slice(0, 1), { role: 'user', content: 'Noch einmal, bitte.' }]
        },
      },
    )
    await llm.json(who)
    expect(seen).toMatchObject([{ answer: '{"name":"Ann","height":3}', kind: 'schema_mismatch' }])
    expect(server.requests[1]?.body).toMatchObject({
      messages: [{}, { role: 'assistant' }, { role: 'user', content: 'Noch einmal, bitte.' }],
    })
  })

  it.each([
    [
      'throws',
      () => {
        throw new RangeError('mine')
      },
      'mine',
    ],
    ['returns no messages', () => ['again'], 'reaskMessages'],
  ])('ends the call with the cause where the wording %s', async (_, reaskMessages, said) => {
    const { llm, server } = await setUp({ answer }, { reaskMessages: reaskMessages as never })
    const error = await rejection(llm.json(who))
    expect(error).toMatchObject({
      kind: 'unknown',
      cause: { message: expect.stringContaining(said) },
    })
    expect(server.count).toBe(1)
  })
})
