import { describe, expect, it } from 'vitest'
import type { Fault } from '../../../src/testing/index.ts'
import { ask, person, rejection, setUp } from '../../support/set-up.ts'

const who = { ...ask('who?'), schema: person }

function answering(body: object): Fault {
  return { name: 'answering', apply: (exchange) => exchange.json(200, body) }
}

function choice(message: object | undefined, finishReason = 'stop'): Fault {
  return answering({
    id: 'c',
    object: 'chat.completion',
    choices: [{ index: 0, finish_reason: finishReason, ...(message && { message }) }],
  })
}

function saying(content: unknown, more: object = {}): object {
  return { role: 'assistant', content, ...more }
}

async function messageOf(fault: Fault, params: object = {}, options: object = {}): Promise<string> {
  const { llm } = await setUp({ script: [fault, fault, fault] })
  const error = await rejection(llm.json({ ...who, ...params }, options))
  return error instanceof Error ? error.message : 'no error'
}

const USUAL = 'Call again later, or use another model.'
const call = { id: '1', type: 'function', function: { name: 'f', arguments: '{}' } }

describe('an answer without text', () => {
  it.each<[string, Fault, string]>([
    ['no choices at all', answering({ id: 'c' }), `it has no choice. ${USUAL}`],
    ['an empty list of choices', answering({ choices: [] }), `it has no choice. ${USUAL}`],
    ['a choice without a message', choice(undefined), `its choice has no message. ${USUAL}`],
    ['no content', choice(saying(null)), `its content is empty. ${USUAL}`],
    ['an empty string', choice(saying('')), `its content is empty. ${USUAL}`],
    ['white space', choice(saying(' \n\t')), `its content is nothing but white space. ${USUAL}`],
    [
      'a call of a function',
      choice(saying(null, { tool_calls: [call] }), 'tool_calls'),
      `it calls a function instead. ${USUAL}`,
    ],
    ['audio', choice(saying(null, { audio: { id: 'a' } })), `it is audio, without text. ${USUAL}`],
    ...['reasoning_content', 'reasoning', 'thinking'].map((name): [string, Fault, string] => [
      `only ${name}`,
      choice(saying('', { [name]: 'Let me see.' })),
      'it is reasoning without an answer after it. Raise the output limit or lower the reasoning effort, or use another model.',
    ]),
    [
      'only a part of thinking',
      choice(saying([{ type: 'thinking', thinking: [{ type: 'text', text: 'Hm.' }] }])),
      'it is reasoning without an answer after it. Raise the output limit or lower the reasoning effort, or use another model.',
    ],
  ])('says so: %s', async (_, fault, said) => {
    const message = await messageOf(fault)
    expect(message).toMatch(/^Empty response at 127\.0\.0\.1 \(200\) after 2 attempts in /)
    expect(message.split('; ')[1]).toBe(said)
  })

  it('without a choice says so to the users of create too', async () => {
    const none = answering({ choices: [] })
    const { llm } = await setUp({ script: [none, none, none] })
    const error = await rejection(llm.chat.completions.create(ask('who?')))
    expect(String(error)).toContain(`; it has no choice. ${USUAL}`)
  })
})

describe('an answer that was cut', () => {
  const cut = choice(saying('{"name":"A'), 'length')

  it.each<[object, object, string]>([
    [{ max_tokens: 100 }, {}, "Raise max_tokens, which is 100, or set onTruncated: 'extend'."],
    [
      { max_completion_tokens: 50 },
      {},
      "Raise max_completion_tokens, which is 50, or set onTruncated: 'extend'.",
    ],
    [
      { max_tokens: 7, max_completion_tokens: 9 },
      {},
      "Raise max_completion_tokens and max_tokens, which are 9 and 7, or set onTruncated: 'extend'.",
    ],
    [
      { max_tokens: 100 },
      { onTruncated: 'extend' },
      "Raise max_tokens: twice the request's own 100 was not enough either.",
    ],
    [
      { max_tokens: 100 },
      { onTruncated: 'extend', maxAttempts: 1 },
      'Raise max_tokens, which is 100, or ask for less.',
    ],
    [
      {},
      {},
      "The request sets no output limit, so the provider's default or the model's context most likely ended it. Set max_completion_tokens (max_tokens for servers that know no other), or ask for less.",
    ],
    [
      { max_tokens: null },
      { onTruncated: 'extend' },
      "The request sets no output limit, so the provider's default or the model's context most likely ended it. Set max_completion_tokens (max_tokens for servers that know no other), or ask for less.",
    ],
  ])('names the limit of %j under %j', async (params, options, advice) => {
    const message = await messageOf(cut, params, options)
    expect(message).toMatch(/^Answer truncated at 127\.0\.0\.1 \(200\) after \d attempts? in /)
    expect(message.slice(message.indexOf('. ') + 2)).toBe(advice)
  })

  it.each(['model_length', 'model_context_window_exceeded'])(
    'by the end of the context (%s), blames no limit',
    async (reason) => {
      const message = await messageOf(choice(saying('{"name":"A'), reason), { max_tokens: 100 })
      expect(message).toMatch(
        /; the model's context was full\. Shorten the messages, ask for less, or use a model with a larger context\.$/,
      )
    },
  )

  it('before its text began, says that reasoning counts', async () => {
    const message = await messageOf(choice(saying(''), 'length'), { max_completion_tokens: 50 })
    expect(message).toMatch(
      /; its limit, which counts reasoning too, left no text\. Raise max_completion_tokens, which is 50, or /,
    )
  })

  it('in the arguments of a checked call, names the limit to the users of create', async () => {
    const function_ = { name: 'f', arguments: '{"a"' }
    const fault = choice(saying(null, { tool_calls: [{ ...call, function: function_ }] }), 'length')
    const { llm } = await setUp({ script: [fault, fault, fault] })
    const tools = [{ type: 'function' as const, function: { name: 'f', parameters: person } }]
    const error = await rejection(
      llm.chat.completions.create(
        { ...ask('who?'), tools, max_tokens: 30 },
        { steady: { toolCalls: 'check' } },
      ),
    )
    expect(String(error)).toContain("Raise max_tokens, which is 30, or set onTruncated: 'extend'.")
  })
})
