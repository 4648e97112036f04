import type OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { callReport, memoryStore } from '../../../src/index.ts'
import type { Fault } from '../../../src/testing/index.ts'
import { ask, rejection, setUp } from '../../support/set-up.ts'

const tools: OpenAI.Chat.ChatCompletionTool[] = [
  {
    type: 'function',
    function: {
      name: 'weather',
      parameters: {
        type: 'object',
        properties: { city: { type: 'string' }, days: { type: 'integer' } },
        required: ['city', 'days'],
        additionalProperties: false,
      },
    },
  },
  { type: 'function', function: { name: 'now' } },
]
const request = { ...ask('What will the weather be?'), tools }

type Call = readonly [name: string, args: string, id?: string]

/** An answer that calls these functions. */
function calls(made: readonly Call[], finishReason = 'tool_calls'): Fault {
  const toolCalls = made.map(([name, args, id], index) => ({
    id: id ?? `call_${index}`,
    type: 'function',
    function: { name, arguments: args },
  }))
  return said({ content: null, tool_calls: toolCalls }, finishReason)
}

function said(message: object, finishReason = 'stop'): Fault {
  return {
    name: 'said',
    apply: (exchange) =>
      exchange.json(200, {
        id: `answer-${exchange.request.body.messages.length}`,
        object: 'chat.completion',
        choices: [
          { index: 0, finish_reason: finishReason, message: { role: 'assistant', ...message } },
        ],
        usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
      }),
  }
}

const checking = (script: readonly Fault[], options = {}) =>
  setUp({ script }, { toolCalls: 'check', ...options })
const callsOf = ({ choices }: OpenAI.Chat.ChatCompletion) =>
  (choices[0]?.message.tool_calls ?? []).map((call) =>
    call.type === 'function' ? [call.id, call.function.name, call.function.arguments] : [call.id],
  )

const good = '{"city":"Rome","days":3}'

describe("create() with toolCalls: 'check'", () => {
  it('hands good calls on, their arguments canonical, for one request', async () => {
    const { llm, server } = await checking([
      calls([
        ['weather', '{"days": 3, "city": "Rome"}'],
        ['now', ''],
      ]),
    ])
    const completion = await llm.chat.completions.create(request)
    expect(callsOf(completion)).toEqual([
      ['call_0', 'weather', good],
      ['call_1', 'now', '{}'],
    ])
    expect(callReport(completion)).not.toHaveProperty('repairs')
    expect(server.count).toBe(1)
  })

  it('repairs and coerces arguments, and lists each repair in the report', async () => {
    const { llm, server } = await checking([calls([['weather', "{'city': 'Rome', 'days': '3',}"]])])
    const completion = await llm.chat.completions.create(request)
    expect(callsOf(completion)).toEqual([['call_0', 'weather', good]])
    expect(callReport(completion)?.repairs).toEqual([
      { path: '/tool_calls/0/function/arguments/city', rule: 'fix-syntax', offset: 1 },
      { path: '/tool_calls/0/function/arguments/days', rule: 'fix-syntax', offset: 17 },
      { path: '/tool_calls/0/function/arguments', rule: 'fix-syntax', offset: 28 },
      { path: '/tool_calls/0/function/arguments/days', rule: 'number-from-string' },
    ])
    expect(server.count).toBe(1)
  })

  it('asks for a bad call again with that tool forced, and puts it in its place, under its id', async () => {
    const { llm, server } = await checking([
      calls([
        ['now', '{}', 'a'],
        ['weather', '{"city":"Rome"}', 'b'],
        ['weather', '{"city":"Oslo","days":"1"}', 'c'],
      ]),
      calls([['weather', good, 'z']]),
    ])
    const completion = await llm.chat.completions.create(request)
    expect(callsOf(completion)).toEqual([
      ['a', 'now', '{}'],
      ['b', 'weather', good],
      ['c', 'weather', '{"city":"Oslo","days":1}'],
    ])
    const { body } = server.requests[1] ?? {}
    expect(body).toMatchObject({ tool_choice: { type: 'function', function: { name: 'weather' } } })
    expect(body?.messages.slice(0, 1)).toEqual(request.messages)
    expect(body?.messages[1]).toMatchObject({
      role: 'user',
      content: expect.stringContaining('missing required property "days"'),
    })
    const report = callReport(completion)
    expect(report?.attempts.map(({ cause, outcome }) => [cause, outcome])).toEqual([
      ['initial', 'schema_mismatch'],
      ['reask', 'success'],
    ])
    expect(report?.repairs).toEqual([
      { path: '/tool_calls/2/function/arguments/days', rule: 'number-from-string' },
    ])
    expect(report?.usage).toEqual({ inputTokens: 20, outputTokens: 10, complete: true })
  })

  it('asks for two bad calls one after the other', async () => {
    const { llm, server } = await checking([
      calls([
        ['weather', '{}'],
        ['weather', 'Oslo'],
      ]),
      calls([['weather', good]]),
      calls([['weather', '{"city":"Oslo","days":1}']]),
    ])
    const completion = await llm.chat.completions.create(request)
    expect(callsOf(completion).map(([, , args]) => args)).toEqual([
      good,
      '{"city":"Oslo","days":1}',
    ])
    expect(server.count).toBe(3)
  })

  it('asks for another tool where there is none of that name', async () => {
    const { llm, server } = await checking([calls([['wether', good]]), calls([['weather', good]])])
    const completion = await llm.chat.completions.create(request)
    expect(callsOf(completion)).toEqual([['call_0', 'weather', good]])
    expect(server.requests[1]?.body).toMatchObject({ tool_choice: 'required' })
    expect(JSON.stringify(server.requests[1]?.body?.messages[1])).toContain('weather')
  })

  it('ends with an error that has a cause where the same bad call comes twice', async () => {
    const bad = calls([['weather', '{"city":"Rome"}']])
    const { llm, server, client } = await checking([bad, bad, calls([['weather', good]])])
    const error = await rejection(llm.chat.completions.create(request))
    expect(error).toBeInstanceOf(Reflect.get(client.constructor, 'APIError'))
    expect(callReport(error)).toMatchObject({
      outcome: 'schema_mismatch',
      reason: 'repeated_answer',
    })
    expect(server.count).toBe(2)
  })

  it('takes a re-ask that is answered in words, or by another tool, for a bad one', async () => {
    const { llm, server } = await checking([
      calls([['weather', '{}']]),
      said({ content: 'It will be sunny.' }),
      calls([
        ['now', '{}'],
        ['weather', good],
      ]),
    ])
    const completion = await llm.chat.completions.create(request)
    expect(callsOf(completion)).toEqual([['call_0', 'weather', good]])
    expect(server.count).toBe(3)
  })

  it('never hands on what was cut at the limit: an error, or twice the limit', async () => {
    const cut = calls([['weather', '{"city":"Ro']], 'length')
    const { llm } = await checking([cut])
    const limited = { ...request, max_completion_tokens: 10 }
    const error = await rejection(llm.chat.completions.create(limited))
    expect(callReport(error)).toMatchObject({ outcome: 'truncated' })

    const extending = await checking([cut, calls([['weather', good]])], { onTruncated: 'extend' })
    const completion = await extending.llm.chat.completions.create(limited)
    expect(callsOf(completion)).toEqual([['call_0', 'weather', good]])
    expect(extending.server.requests[1]?.body).toMatchObject({ max_completion_tokens: 20 })
  })

  it('also not where the arguments look whole, or another reason is given for a cut text', async () => {
    const whole = await checking([calls([['weather', good]], 'length')])
    expect(callReport(await rejection(whole.llm.chat.completions.create(request)))).toMatchObject({
      outcome: 'truncated',
    })
    const silent = await checking([calls([['weather', '{"city":"Ro']]), calls([['weather', good]])])
    const completion = await silent.llm.chat.completions.create(request)
    expect(callsOf(completion)).toEqual([['call_0', 'weather', good]])
    expect(silent.server.count).toBe(2)
  })

  it.each(['MAX_TOKENS', 'model_length', 'max_tokens'])(
    'knows %s for a cut as well',
    async (reason) => {
      const cut = calls([['weather', good]], reason)
      const { llm, server } = await checking([cut, calls([['weather', good]])])
      const error = await rejection(llm.chat.completions.create(request))
      expect(callReport(error)).toMatchObject({ outcome: 'truncated' })
      expect(server.count).toBe(1)
      const extending = await checking([cut, calls([['weather', good]])], { onTruncated: 'extend' })
      await extending.llm.chat.completions.create({ ...request, max_tokens: 10 })
      expect(extending.server.requests[1]?.body).toMatchObject({ max_tokens: 20 })
    },
  )

  it('hands on no call that a content filter ended, and does not ask for it again', async () => {
    for (const args of [good, '{"city":"Ro']) {
      const { llm, server } = await checking([calls([['weather', args]], 'content_filter')])
      const error = await rejection(llm.chat.completions.create(request))
      expect(callReport(error)).toMatchObject({ outcome: 'content_filter' })
      expect(server.count).toBe(1)
    }
  })

  it('refuses a number that is too large to be one, which JSON would write as null', async () => {
    const { llm, server } = await checking([
      calls([['weather', '{"city":"Rome","days":1e400}']]),
      calls([['weather', good]]),
    ])
    const completion = await llm.chat.completions.create(request)
    expect(callsOf(completion)).toEqual([['call_0', 'weather', good]])
    expect(server.count).toBe(2)
  })

  it('takes no text at all for {} where the tool can do without arguments', async () => {
    const optional = {
      type: 'function' as const,
      function: {
        name: 'list',
        parameters: { type: 'object', properties: { limit: { type: 'integer' } } },
      },
    }
    const { llm, server } = await checking([
      calls([['list', '']]),
      calls([['weather', '']]),
      calls([['weather', good]]),
    ])
    const listing = await llm.chat.completions.create({ ...request, tools: [optional] })
    expect(callsOf(listing)).toEqual([['call_0', 'list', '{}']])
    const weather = await llm.chat.completions.create(request)
    expect(callsOf(weather)).toEqual([['call_0', 'weather', good]])
    expect(server.requests[2]?.body?.messages[1]).toMatchObject({
      content: expect.stringContaining('without arguments'),
    })
  })

  it('says what was wrong with a call again where the re-ask was answered without one', async () => {
    const { llm, server } = await checking([
      calls([['weather', '{"city":"Rome"}']]),
      said({ content: 'It will be sunny.' }),
      calls([['weather', good]]),
    ])
    await llm.chat.completions.create(request)
    const content = String(server.requests[2]?.body?.messages[1]?.content)
    expect(content).toContain('{"city":"Rome"}')
    expect(content).toContain('missing required property "days"')
    expect(content).toContain('did not call it')
  })

  it.each<OpenAI.Chat.ChatCompletionToolChoiceOption>([
    { type: 'function', function: { name: 'weather' } },
    {
      type: 'allowed_tools',
      allowed_tools: {
        mode: 'required',
        tools: [{ type: 'function', function: { name: 'weather' } }],
      },
    },
  ])('leaves the choice to the tools that the caller allowed: %o', async (choice) => {
    const { llm, server } = await checking([calls([['wether', good]]), calls([['weather', good]])])
    await llm.chat.completions.create({ ...request, tool_choice: choice })
    expect(server.requests[1]?.body).toMatchObject({ tool_choice: choice })
  })

  it('leaves answers in words, custom tools and calls without tools alone', async () => {
    const words = await checking([said({ content: 'Sunny.' }), said({ content: 'Sunny.' })])
    const completion = await words.llm.chat.completions.create(request)
    expect(completion.choices[0]?.message.content).toBe('Sunny.')
    await words.llm.chat.completions.create(ask('no tools'))
    const custom = { id: 'x', type: 'custom', custom: { name: 'sql', input: 'select 1' } }
    const { llm, server } = await checking([
      said({ content: null, tool_calls: [custom] }, 'tool_calls'),
    ])
    const called = await llm.chat.completions.create({
      ...request,
      tools: [...tools, { type: 'custom', custom: { name: 'sql' } }],
    })
    expect(called.choices[0]?.message.tool_calls).toEqual([custom])
    expect(server.count).toBe(1)
  })

  it('retries what fails on the way to a re-ask, with the same request', async () => {
    const down: Fault = {
      name: 'down',
      apply: (exchange) => exchange.json(503, { error: { message: 'overloaded' } }),
    }
    const { llm, server } = await checking([
      calls([['weather', '{}']]),
      down,
      calls([['weather', good]]),
    ])
    await llm.chat.completions.create(request)
    expect(server.requests[2]?.body).toEqual(server.requests[1]?.body)
  })

  it('checks a replay against the tools of who replays', async () => {
    const { llm, server } = await checking([calls([['weather', good]])], { store: memoryStore() })
    const keyed = { steady: { idempotencyKey: 'k', payload: 1 } }
    await llm.chat.completions.create(request, keyed)
    const again = await llm.chat.completions.create(request, keyed)
    expect(callsOf(again)).toEqual([['call_0', 'weather', good]])
    const stricter = structuredClone(tools)
    Object.assign(stricter[0] ?? {}, {
      function: { name: 'weather', parameters: { properties: { days: { maximum: 2 } } } },
    })
    const error = await rejection(
      llm.chat.completions.create({ ...request, tools: stricter }, keyed),
    )
    expect(callReport(error)).toMatchObject({ outcome: 'schema_mismatch', source: 'store' })
    expect(server.count).toBe(1)
  })

  it('works for a single call where the client does not ask for it', async () => {
    const { llm } = await setUp({ script: [calls([['weather', "{'city':'Rome','days':3}"]])] })
    const completion = await llm.chat.completions.create(request, {
      steady: { toolCalls: 'check' },
    })
    expect(callsOf(completion)).toEqual([['call_0', 'weather', good]])
  })

  it('is checked for runTools as well', async () => {
    const { llm } = await checking([
      calls([['weather', '{"city":"Rome","days":"3"}']]),
      said({ content: 'Sunny.' }),
    ])
    const given: unknown[] = []
    const runner = llm.chat.completions.runTools({
      ...ask('weather?'),
      tools: [
        {
          type: 'function',
          function: {
            ...(tools[0]?.type === 'function' ? tools[0].function : { name: 'weather' }),
            description: 'weather',
            parse: JSON.parse,
            function(args: unknown) {
              given.push(args)
              return 'sunny'
            },
          },
        },
      ],
    } as never)
    expect(await runner.finalContent()).toBe('Sunny.')
    expect(given).toEqual([{ city: 'Rome', days: 3 }])
  })

  it.each<[string, object, string]>([
    ['stream', { stream: true }, 'stream must be left out'],
    ['n', { n: 2 }, 'n must be 1'],
    [
      'functions',
      { tools: undefined, functions: [{ name: 'f' }] },
      'functions must be given as tools',
    ],
    [
      'parameters that are no schema',
      { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'x' } } }] },
      'tools[0].function.parameters',
    ],
    [
      'a tool without a name',
      { tools: [{ type: 'function', function: {} }] },
      'tools[0].function.name',
    ],
  ])('refuses %s before any request', async (_, more, message) => {
    const { llm, server } = await checking([])
    const error = await rejection(llm.chat.completions.create({ ...request, ...more } as never))
    expect(error).toMatchObject({ name: 'TypeError', message: expect.stringContaining(message) })
    expect(server.count).toBe(0)
  })

  it('shows no argument of the model’s in an error', async () => {
    const secret = calls([['weather', '{"city":"Rome","canary-7":1}']])
    const { llm } = await checking([secret, secret])
    const error = await rejection(llm.chat.completions.create(request))
    expect(String(error) + JSON.stringify(callReport(error))).not.toContain('canary')
  })
})
