import type OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { callReport, isCallError } from '../../../src/index.ts'
import {
  answers,
  callsTool,
  contentFilter,
  contextLength,
  refusal as declines,
  type Fault,
  httpError,
  insufficientQuota,
  invalidApiKey,
  overloaded,
} from '../../../src/testing/index.ts'
import { ask, clientFor, person, rejection, setUp, startServer } from '../../support/set-up.ts'

const who = { ...ask('who?'), schema: person }
const WRONG = '{"name":"Ann","height":3}'
const GOOD = '{"name":"Ann","age":36}'

/** An answer with more in its message than its text. */
function says(message: object): Fault {
  return {
    name: 'says',
    apply: (exchange) =>
      exchange.json(200, {
        id: 'answer',
        object: 'chat.completion',
        choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', ...message } }],
        usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
      }),
  }
}

const refuses = (message: string, status = 400) =>
  httpError(status, { error: { message, type: 'invalid_request_error' } })

const MISSING = refuses('Missing `reasoning_content` field in the assistant message at index 1')

/** A refusal whose status claims that it is none. */
const under200 = (error: unknown) => httpError(200, { error })

const refusals: readonly [string, Fault, string][] = [
  ['a field that is missing', MISSING, '400 invalid_request'],
  ['an assistant turn at its end', refuses('prefill is not supported', 422), '422 invalid_request'],
  ['its length', contextLength(), '400 context_length'],
  [
    'its content',
    refuses('The response was filtered due to content management policy'),
    '400 content_filter',
  ],
  ['an assistant turn, as forbidden', refuses('no assistant turns', 403), '403 permission'],
  [
    'the page of a firewall',
    httpError(403, '<html><title>Blocked</title></html>'),
    '403 permission',
  ],
  [
    'an assistant turn, in an error under 200',
    under200({ code: 400, message: 'Conversation roles must alternate' }),
    '200 invalid_request',
  ],
  [
    'a missing field, in an error under 200 of no known kind',
    under200('Missing `reasoning_content` in an assistant turn'),
    '200 unknown',
  ],
  [
    'more than one turn, with 501 Not Implemented',
    refuses('one turn only', 501),
    '501 invalid_request',
  ],
]

/** Where the re-ask met something that it has not caused. */
const others: readonly [string, Fault, string][] = [
  [
    'a rate limit',
    httpError(429, { error: { message: 'slow down' } }, { 'retry-after': '3600' }),
    'rate_limit',
  ],
  [
    'an overload, in an error under 200',
    under200({ code: 503, message: 'overloaded' }),
    'overloaded',
  ],
  ['a spent quota', insufficientQuota(), 'quota_exhausted'],
  ['an account without credit', httpError(402, { error: { message: 'no credit' } }), 'billing'],
  ['an answer that the filter stopped', contentFilter(), 'content_filter'],
  ['a model that declines', declines(), 'refusal'],
]

describe('a re-ask that is refused', () => {
  it.each(refusals)('for %s ends with the answer that caused it', async (_, refusal, shown) => {
    const { llm, server } = await setUp({ script: [answers(WRONG), refusal] })
    const error = await rejection(llm.json(who))
    expect(server.count).toBe(2)
    expect(error).toMatchObject({
      kind: 'schema_mismatch',
      reason: 'reask_refused',
      again: 'later',
      retryable: false,
      deterministic: false,
      executed: 'yes',
      status: 200,
      completion: { choices: [{ message: { content: WRONG } }] },
      attempts: [{ outcome: 'schema_mismatch' }, { cause: 'reask', retryable: false }],
    })
    expect(error).toMatchObject({ issues: [{ path: '' }, { path: '' }] })
    expect(error).toMatchObject({
      message: expect.stringContaining(`re-ask was refused (${shown}`),
    })
    expect(error).toMatchObject({ cause: expect.anything() })
  })

  it.each(others)(
    'is not one that met %s: that is what the call ends with',
    async (_, met, kind) => {
      const { llm } = await setUp({ script: [answers(WRONG), ...Array(4).fill(met)] })
      const error = await rejection(llm.json(who))
      expect(error).toMatchObject({ kind })
      expect(error).not.toMatchObject({ reason: 'reask_refused' })
    },
  )

  it('after a failure that passed, in between, as well', async () => {
    const { llm, server } = await setUp({ script: [answers(WRONG), overloaded(), MISSING] })
    const error = await rejection(llm.json(who))
    expect(server.count).toBe(3)
    expect(error).toMatchObject({ kind: 'schema_mismatch', reason: 'reask_refused' })
  })

  it('is told in the report and to onEvent', async () => {
    const events: object[] = []
    const { llm } = await setUp(
      { script: [answers(WRONG), MISSING] },
      { onEvent: (event) => events.push(event) },
    )
    const error = await rejection(llm.json(who))
    expect(callReport(error)).toMatchObject({ outcome: 'schema_mismatch', reason: 'reask_refused' })
    expect(error).toMatchObject({ usage: { complete: true } })
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'call-stopped', reason: 'reask_refused' }),
    )
  })

  it('leaves a failure that passes to be retried', async () => {
    const { llm, server } = await setUp({ script: [answers(WRONG), overloaded(), answers(GOOD)] })
    expect((await llm.json(who)).value).toEqual({ name: 'Ann', age: 36 })
    expect(server.count).toBe(3)
  })

  it('is not one whose key was revoked meanwhile', async () => {
    const { llm } = await setUp({ script: [answers(WRONG), invalidApiKey()] })
    expect(await rejection(llm.json(who))).toMatchObject({ kind: 'auth' })
  })

  it('falls back first, where a fallback takes what it met', async () => {
    const other = await startServer({ script: [answers(GOOD)] })
    const fallbacks = [{ client: clientFor(other), model: 'larger' }]
    const { llm } = await setUp({ script: [answers(WRONG), contextLength()] }, { fallbacks })
    expect((await llm.json(who)).value).toEqual({ name: 'Ann', age: 36 })
    expect(other.count).toBe(1)
  })

  it('keeps nothing under the key: the request itself was not refused', async () => {
    const { llm } = await setUp({ script: [answers(WRONG), MISSING, answers(GOOD)] })
    const options = { idempotencyKey: 'who-1' }
    await rejection(llm.json(who, options))
    await expect(llm.json(who, options)).resolves.toMatchObject({ value: { name: 'Ann', age: 36 } })
  })

  it('of a tool call ends with that call, in a class of the client', async () => {
    const tools: OpenAI.Chat.ChatCompletionTool[] = [
      { type: 'function', function: { name: 'find', parameters: person } },
    ]
    const refusal = refuses("No endpoints found that support the provided 'tool_choice' value", 404)
    const { llm, client } = await setUp(
      { script: [callsTool('find', WRONG), refusal] },
      { toolCalls: 'check' },
    )
    const error = await rejection(llm.chat.completions.create({ ...ask('who?'), tools }))
    const { APIError } = client.constructor as typeof OpenAI
    expect(error).toBeInstanceOf(APIError)
    expect(error).toMatchObject({
      code: 'schema_mismatch',
      message: expect.stringContaining('the re-ask was refused (404'),
      cause: { status: 404 },
    })
    expect(callReport(error)).toMatchObject({ outcome: 'schema_mismatch', reason: 'reask_refused' })
  })
})

describe('what a bad answer carried beside its text', () => {
  const carried: readonly [string, object][] = [
    ['reasoning_content', { reasoning_content: 'Let me think.' }],
    ['reasoning', { reasoning: 'Let me think.' }],
    ['reasoning_details', { reasoning_details: [{ type: 'reasoning.encrypted', data: 'abc' }] }],
    ['thinking_blocks', { thinking_blocks: [{ type: 'thinking', thinking: 'x', signature: 's' }] }],
    ['encrypted_reasoning', { encrypted_reasoning: 'abc' }],
    ['extra_content', { extra_content: { google: { thought_signature: 'abc' } } }],
  ]

  it.each(carried)('goes with it in the re-ask: %s', async (_, fields) => {
    const { llm, server } = await setUp({
      script: [says({ content: WRONG, refusal: null, ...fields }), answers(GOOD)],
    })
    await llm.json(who)
    expect(server.requests[1]?.body?.messages[1]).toEqual({
      role: 'assistant',
      content: WRONG,
      ...fields,
    })
  })

  it('also where it is a part of the content', async () => {
    const thinking = { type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] }
    const content = [thinking, { type: 'text', text: WRONG }]
    const { llm, server } = await setUp({ script: [says({ content }), answers(GOOD)] })
    await llm.json(who)
    expect(server.requests[1]?.body?.messages[1]).toEqual({ role: 'assistant', content })
  })

  it('is left out, and the request sent once more, where the provider refuses just that', async () => {
    const refusal = refuses("property 'reasoning_content' is unsupported")
    const { llm, server } = await setUp({
      script: [says({ content: WRONG, reasoning_content: 'hm' }), refusal, answers(GOOD)],
    })
    await llm.json(who)
    expect(server.requests[2]?.body?.messages[1]).toEqual({ role: 'assistant', content: WRONG })
  })

  it.each([
    ['in an error under 200', httpError(200, { error: "unknown field 'reasoning_content'" })],
    ['under 403', refuses("'reasoning_content' may not be sent", 403)],
  ])('is left out as well where that is said %s', async (_, refusal) => {
    const { llm, server } = await setUp({
      script: [says({ content: WRONG, reasoning_content: 'hm' }), refusal, answers(GOOD)],
    })
    await llm.json(who)
    expect(server.requests[2]?.body?.messages[1]).toEqual({ role: 'assistant', content: WRONG })
  })

  it('goes with it after all where the refusal names it, whatever it is called', async () => {
    const refusal = refuses('messages[1].opaque_state: this field must be passed back')
    const { llm, server } = await setUp({
      script: [
        says({ content: WRONG, opaque_state: 'abc', other: 'x', annotations: [] }),
        refusal,
        answers(GOOD),
      ],
    })
    await llm.json(who)
    expect(server.requests.map(({ body }) => body?.messages[1])).toEqual([
      undefined,
      { role: 'assistant', content: WRONG },
      { role: 'assistant', content: WRONG, opaque_state: 'abc' },
    ])
  })

  it('is asked for once only: a provider that goes on refusing has refused the re-ask', async () => {
    const refusal = refuses('opaque_state must be passed back')
    const { llm, server } = await setUp(
      { script: [says({ content: WRONG, opaque_state: 'abc' }), refusal, refusal, answers(GOOD)] },
      { maxAttempts: 9, maxReasks: 8 },
    )
    expect(await rejection(llm.json(who))).toMatchObject({ reason: 'reask_refused' })
    expect(server.count).toBe(3)
  })

  it('is not sent once more for a failure that passes, whatever it speaks of', async () => {
    const limited = httpError(503, { error: { message: 'reasoning_content is overloaded' } })
    const { llm, server } = await setUp({
      script: [says({ content: WRONG, reasoning_content: 'hm' }), limited, answers(GOOD)],
    })
    await llm.json(who)
    expect(server.requests[2]?.body?.messages[1]).toHaveProperty('reasoning_content')
  })

  it('does not go to another provider', async () => {
    const other = await startServer({ script: [answers(GOOD)] })
    const fallbacks = [{ client: clientFor(other) }]
    const { llm } = await setUp(
      { script: [says({ content: WRONG, reasoning_content: 'hm' }), contextLength()] },
      { fallbacks },
    )
    await llm.json(who)
    expect(other.requests[0]?.body?.messages[1]).toEqual({ role: 'assistant', content: WRONG })
  })

  it('is in no error that a logger prints', async () => {
    const secret = 'reasoned about 4711'
    const { llm } = await setUp({
      script: [says({ content: WRONG, reasoning_content: secret }), MISSING, MISSING],
    })
    const error = await rejection(llm.json(who))
    expect(isCallError(error)).toBe(true)
    expect(JSON.stringify(error)).not.toContain('4711')
    expect(String(error)).not.toContain('4711')
  })
})
