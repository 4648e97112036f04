import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { isCallError } from '../../src/index.ts'
import {
  answers,
  contentFilter,
  damagedJson,
  emptyChoices,
  fencedJson,
  malformedJson,
  refusal,
  schemaInvalid,
  truncatedJson,
} from '../../src/testing/index.ts'
import { ask, person, rejection, setUp } from '../support/set-up.ts'

const ada = '{"name":"Ada","age":36}'

describe('a structured call returns a value that the schema accepted', () => {
  it('from a plain JSON Schema, at the first answer', async () => {
    const { llm, server } = await setUp({ answer: ada })
    const result = await llm.json({ ...ask('who?'), schema: person })
    expect(result).toMatchObject({
      value: { name: 'Ada', age: 36 },
      repairs: [],
      source: 'provider',
      persisted: true,
    })
    expect(result.completion.choices[0]?.message.content).toBe(ada)
    expect(server.requests[0]?.body).toMatchObject({
      response_format: { type: 'json_schema', json_schema: { strict: true, schema: person } },
    })
  })

  it('from a zod schema, with its transforms applied after the check', async () => {
    const { llm } = await setUp({ answer: ada })
    const schema = z.object({ name: z.string().transform((name) => name.length), age: z.int() })
    const { value } = await llm.json({ ...ask('who?'), schema })
    expect(value).toEqual({ name: 3, age: 36 })
  })

  it('after a repair without another request, each repair listed', async () => {
    const { llm, server } = await setUp({ answer: ada, perCall: [fencedJson()] })
    const { value, repairs, attempts } = await llm.json({ ...ask('who?'), schema: person })
    expect(value).toEqual({ name: 'Ada', age: 36 })
    expect(repairs.length).toBeGreaterThan(0)
    expect(attempts).toHaveLength(1)
    expect(server.count).toBe(1)
  })

  it('after repaired syntax', async () => {
    const { llm, server } = await setUp({ answer: ada, perCall: [damagedJson()] })
    const { value } = await llm.json({ ...ask('who?'), schema: person })
    expect(value).toEqual({ name: 'Ada', age: 36 })
    expect(server.count).toBe(1)
  })

  it('after a lossless change of type', async () => {
    const { llm } = await setUp({ perCall: [answers('{"name":"Ada","age":"36"}')] })
    const { value, repairs } = await llm.json({ ...ask('who?'), schema: person })
    expect(value).toEqual({ name: 'Ada', age: 36 })
    expect(repairs).toMatchObject([{ path: '/age' }])
  })

  it('after asking again with the errors at the end of the same messages', async () => {
    const { llm, server } = await setUp({ answer: ada, perCall: [answers('{"name":"Ada"}')] })
    const { value, attempts } = await llm.json({ ...ask('who?'), schema: person })
    expect(value).toEqual({ name: 'Ada', age: 36 })
    expect(attempts.map(({ cause, outcome }) => [cause, outcome])).toEqual([
      ['initial', 'schema_mismatch'],
      ['reask', 'success'],
    ])
    const [first, second] = server.requests.map(({ body }) => body?.messages ?? [])
    expect(first).toHaveLength(1)
    expect(second).toHaveLength(3)
    expect(second?.[0]).toEqual(first?.[0])
    expect(second?.[1]).toMatchObject({ role: 'assistant', content: '{"name":"Ada"}' })
    expect(JSON.stringify(second?.[2])).toContain('age')
  })

  it('and adds up what all its attempts cost', async () => {
    const { llm, server } = await setUp({ answer: ada, perCall: [schemaInvalid()] })
    const { usage, attempts } = await llm.json({ ...ask('who?'), schema: person })
    const billed = attempts.map((attempt) => attempt.usage?.inputTokens ?? 0)
    expect(billed.every((tokens) => tokens > 0)).toBe(true)
    expect(usage.inputTokens).toBe(billed.reduce((sum, tokens) => sum + tokens, 0))
    expect(usage.complete).toBe(true)
    expect(server.count).toBe(2)
  })
})

describe('or it throws, and says why', () => {
  it('an answer cut at the output limit fails as truncated and is never completed', async () => {
    const { llm, server } = await setUp({ answer: ada, perCall: [truncatedJson()] })
    const error = await rejection(llm.json({ ...ask('who?'), schema: person }))
    expect(error).toMatchObject({ kind: 'truncated', executed: 'yes' })
    expect(server.count).toBe(1)
  })

  it("unless onTruncated: 'extend' doubles the caller's own limit, once", async () => {
    const { llm, server } = await setUp({ answer: ada, perCall: [truncatedJson()] })
    const { value } = await llm.json(
      { ...ask('who?'), schema: person, max_completion_tokens: 100 },
      { onTruncated: 'extend' },
    )
    expect(value).toEqual({ name: 'Ada', age: 36 })
    expect(server.requests.map(({ body }) => body?.['max_completion_tokens'])).toEqual([100, 200])
  })

  it('and a second truncation ends it', async () => {
    const { llm, server } = await setUp({
      answer: ada,
      perCall: [truncatedJson(), truncatedJson()],
    })
    const error = await rejection(
      llm.json(
        { ...ask('who?'), schema: person, max_completion_tokens: 100 },
        { onTruncated: 'extend' },
      ),
    )
    expect(error).toMatchObject({ kind: 'truncated' })
    expect(server.count).toBe(2)
  })

  it('the same wrong answer twice is a broken prompt, not bad luck', async () => {
    const wrong = answers('{"name":"Ada","age":"unknown"}')
    const { llm, server } = await setUp({ perCall: [wrong, wrong, wrong] }, { maxAttempts: 5 })
    const error = await rejection(llm.json({ ...ask('who?'), schema: person }))
    expect(error).toMatchObject({
      kind: 'schema_mismatch',
      reason: 'repeated_answer',
      deterministic: true,
      retryable: false,
      issues: [{ path: '/age' }],
    })
    expect(server.count).toBe(2)
  })

  it('different wrong answers end at maxReasks', async () => {
    const wrong = ['a', 'b', 'c', 'd'].map((age) => answers(`{"name":"Ada","age":"${age}"}`))
    const { llm, server } = await setUp({ perCall: wrong }, { maxAttempts: 10 })
    const error = await rejection(llm.json({ ...ask('who?'), schema: person }))
    expect(error).toMatchObject({
      kind: 'schema_mismatch',
      reason: 'max_reasks',
      deterministic: false,
    })
    expect(server.count).toBe(3)
  })

  it.each([
    ['a refusal', refusal(), 'refusal', 1],
    ['a filtered answer', contentFilter(), 'content_filter', 1],
  ] as const)('%s is final', async (_, fault, kind, requests) => {
    const { llm, server } = await setUp({ perCall: [fault] })
    const error = await rejection(llm.json({ ...ask('who?'), schema: person }))
    expect(error).toMatchObject({ kind })
    expect(server.count).toBe(requests)
  })

  it('an answer without a choice is asked for once more, not thrice', async () => {
    const empty = Array.from({ length: 5 }, () => emptyChoices())
    const { llm, server } = await setUp({ perCall: empty })
    const error = await rejection(llm.json({ ...ask('who?'), schema: person }))
    expect(error).toMatchObject({ kind: 'empty_response' })
    expect(server.count).toBe(2)
  })

  it('the error carries the completion, the attempts and the cost, and its message no content', async () => {
    const secret = 'canary-7f3a'
    const wrong = answers(`{"name":"${secret}","age":"${secret}"}`)
    const { llm } = await setUp({ perCall: [wrong, wrong] })
    const error = await rejection(llm.json({ ...ask(secret), schema: person }))
    if (!isCallError(error)) throw error
    expect(error.attempts).toHaveLength(2)
    expect(error.usage).toMatchObject({ complete: true })
    expect(JSON.stringify(error.completion)).toContain(secret)
    expect(error.message).not.toContain(secret)
    expect(JSON.stringify(error)).not.toContain(secret)
  })

  it('a refinement of the schema library is asked for again too', async () => {
    const schema = z.object({ name: z.string(), age: z.int() }).refine(({ age }) => age > 40)
    const older = '{"name":"Ada","age":41}'
    const { llm, server } = await setUp({ answer: older, perCall: [answers(ada)] })
    const { value, attempts } = await llm.json({ ...ask('who?'), schema })
    expect(value.age).toBe(41)
    expect(attempts[0]).toMatchObject({ outcome: 'schema_mismatch' })
    expect(server.count).toBe(2)
  })

  it('malformed text is asked for again', async () => {
    const { llm } = await setUp({ answer: ada, perCall: [malformedJson()] })
    const { attempts } = await llm.json({ ...ask('who?'), schema: person })
    expect(attempts.map(({ outcome }) => outcome)).toEqual(['malformed_output', 'success'])
  })
})
