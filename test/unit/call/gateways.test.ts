import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { type CallEvent, callReport, createRuntime, steady } from '../../../src/index.ts'
import {
  contextLength,
  type Fault,
  httpError,
  ok,
  overloaded,
  resetBeforeResponse,
} from '../../../src/testing/index.ts'
import {
  ask,
  clientFor,
  patientRuntime,
  person,
  rejection,
  setUp,
  startServer,
} from '../../support/set-up.ts'

/** The good answer, with what a gateway adds to it. */
function answered(
  headers: Readonly<Record<string, string>>,
  members: Readonly<Record<string, unknown>> = {},
): Fault {
  return {
    name: 'ok through a gateway',
    apply(exchange) {
      const choices = [
        { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: '{"a":1}' } },
      ]
      exchange.json(200, { id: 'c', object: 'chat.completion', choices, ...members }, headers)
    },
  }
}

/** A stream of one piece of text whose last chunk has more to say. */
function streamed(last: Readonly<Record<string, unknown>>): Fault {
  return {
    name: 'stream through a gateway',
    async apply(exchange) {
      exchange.begin()
      const chunk = { id: 'c', object: 'chat.completion.chunk' }
      const choices = [{ index: 0, delta: { content: 'hi' }, finish_reason: 'stop' }]
      await exchange.write(`data: ${JSON.stringify({ ...chunk, choices })}\n\n`)
      await exchange.write(`data: ${JSON.stringify({ ...chunk, choices: [], ...last })}\n\n`)
      exchange.response.end('data: [DONE]\n\n')
    },
  }
}

describe('the off-switch of a gateway', () => {
  it.each([
    ['litellm', { 'x-litellm-num-retries': '0' }, { disable_fallbacks: true }],
    ['portkey', { 'x-portkey-config': '{"retry":{"attempts":0}}' }, {}],
    ['cloudflare', { 'cf-aig-max-attempts': '1' }, {}],
    [
      'openrouter',
      { 'x-openrouter-metadata': 'enabled' },
      { provider: { allow_fallbacks: false } },
    ],
    ['helicone', {}, {}],
  ] as const)('%s: goes out with create, json and a stream', async (gateway, headers, members) => {
    const { server, llm } = await setUp({}, { gateway })
    await llm.chat.completions.create(ask('one'))
    await llm.json({ ...ask('two'), schema: person })
    for await (const _ of await llm.chat.completions.create({ ...ask('three'), stream: true }));
    expect(server.requests).toHaveLength(3)
    for (const { headers: sent, body } of server.requests) {
      expect(sent).toMatchObject(headers)
      expect(body).toMatchObject(members)
    }
  })

  it('is not sent without the option', async () => {
    const { server, llm } = await setUp()
    await llm.chat.completions.create(ask('one'))
    const names = Object.keys(server.requests[0]?.headers ?? {})
    expect(names.filter((name) => /litellm|portkey|cf-aig|openrouter|helicone/.test(name))).toEqual(
      [],
    )
  })

  it('yields to what the request or the client says itself', async () => {
    const server = await startServer()
    const runtime = createRuntime()
    const portkey = steady(
      clientFor(server, { defaultHeaders: { 'X-Portkey-Config': 'pc-mine' } }),
      { gateway: 'portkey', runtime },
    )
    await portkey.chat.completions.create(ask('one'))
    const litellm = steady(clientFor(server), { gateway: 'litellm', runtime })
    const body = { ...ask('two'), disable_fallbacks: false }
    await litellm.chat.completions.create(body, { headers: { 'X-LiteLLM-Num-Retries': '1' } })
    const openrouter = steady(clientFor(server), { gateway: 'openrouter', runtime })
    const provider = { order: ['a'], allow_fallbacks: true }
    await openrouter.chat.completions.create({ ...ask('three'), ...{ provider } })
    await openrouter.chat.completions.create({ ...ask('four'), ...{ provider: { only: ['b'] } } })
    await openrouter.chat.completions.create({ ...ask('five'), ...{ provider: 'a string' } })
    const [first, second, third, fourth, fifth] = server.requests
    expect(first?.headers['x-portkey-config']).toBe('pc-mine')
    expect(second?.headers['x-litellm-num-retries']).toBe('1')
    expect(second?.body).toMatchObject({ disable_fallbacks: false })
    expect(third?.body).toMatchObject({ provider })
    expect(fourth?.body).toMatchObject({ provider: { only: ['b'], allow_fallbacks: false } })
    expect(fifth?.body).toMatchObject({ provider: 'a string' })
  })

  it.each([
    ['litellm', { 'x-litellm-num-retries': '0' }, 'disable_fallbacks'],
    ['portkey', {}, undefined],
    ['cloudflare', { 'cf-aig-max-attempts': '1' }, undefined],
    ['openrouter', { 'x-openrouter-metadata': 'enabled' }, 'provider'],
  ] as const)(
    '%s: leaves the operator’s fallbacks on where they are to be kept',
    async (name, headers, member) => {
      const { server, llm } = await setUp({}, { gateway: { name, fallbacks: 'keep' } })
      await llm.chat.completions.create(ask('one'))
      await llm.json({ ...ask('two'), schema: person })
      for (const { headers: sent, body } of server.requests) {
        expect(sent).toMatchObject(headers)
        if (member !== undefined) expect(body).not.toHaveProperty(member)
      }
      expect(server.requests).toHaveLength(2)
    },
  )

  it('is the same for a name alone, an object with it, and fallbacks that are off', async () => {
    for (const gateway of [
      'litellm',
      { name: 'litellm' },
      { name: 'litellm', fallbacks: 'off' },
    ] as const) {
      const { server, llm } = await setUp({}, { gateway })
      await llm.chat.completions.create(ask('one'))
      expect(server.requests[0]?.headers['x-litellm-num-retries']).toBe('0')
      expect(server.requests[0]?.body).toMatchObject({ disable_fallbacks: true })
    }
  })

  it('is not sent to a fallback on another host, but to another model on the same', async () => {
    const main = await startServer({ perCall: [overloaded(), overloaded(), overloaded()] })
    const other = await startServer()
    const llm = steady(clientFor(main), {
      gateway: 'litellm',
      runtime: patientRuntime(),
      fallbacks: [
        { model: 'gpt-second', on: ['overloaded'] },
        { client: clientFor(other), on: ['overloaded'] },
      ],
      maxAttempts: 3,
    })
    await llm.chat.completions.create(ask('one')).catch(() => {})
    const models = main.requests.map(({ body }) => body?.model)
    expect(models).toContain('gpt-second')
    for (const { headers } of main.requests) expect(headers['x-litellm-num-retries']).toBe('0')
    for (const { headers, body } of other.requests) {
      expect(headers['x-litellm-num-retries']).toBeUndefined()
      expect(body).not.toHaveProperty('disable_fallbacks')
    }
  })

  it('does not change the key that is derived of a request', async () => {
    const { server, llm } = await setUp()
    const other = steady(clientFor(server), { gateway: 'openrouter', runtime: createRuntime() })
    const derived = { steady: { idempotency: 'derive', occurrence: 0 } } as const
    const [plain, adapted] = await Promise.all([
      llm.chat.completions.create(ask('the same'), derived),
      other.chat.completions.create(ask('the same'), derived),
    ])
    expect(callReport(adapted)?.idempotencyKey).toBe(callReport(plain)?.idempotencyKey)
  })

  it('leaves a body that is sent again its Idempotency-Key, also under another model', async () => {
    const { server, llm } = await setUp(
      { script: [contextLength(), resetBeforeResponse(), ok()] },
      { gateway: 'openrouter', fallbacks: [{ model: 'gpt-large', on: ['context_length'] }] },
    )
    await llm.chat.completions.create(ask('long'))
    const keys = server.requests.map(({ headers }) => headers['idempotency-key'])
    expect(server.requests.map(({ body }) => body?.model)).toEqual([
      'gpt-test',
      'gpt-large',
      'gpt-large',
    ])
    expect(keys[1]).not.toBe(keys[0])
    expect(keys[2]).toBe(keys[1])
  })

  it('warns where the caller switches Helicone’s retries on', async () => {
    const server = await startServer()
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
    const client = clientFor(server, { defaultHeaders: { 'Helicone-Retry-Enabled': 'false' } })
    const llm = steady(client, { gateway: 'helicone', runtime: createRuntime() })
    await llm.chat.completions.create(ask('one'))
    expect(await warned).toMatchObject({ code: 'STEADYCALL_GATEWAY_RETRIES' })
  })

  it.each([
    [{ name: 'kong' }, "gateway.name must be 'litellm'", "got 'kong'"],
    [
      { name: 'litellm', fallback: 'keep' },
      "unknown option 'gateway.fallback'",
      "did you mean 'fallbacks'",
    ],
    [
      { name: 'litellm', fallbacks: false },
      "gateway.fallbacks must be 'keep' or 'off'",
      'got false',
    ],
    [{ fallbacks: 'keep' }, "with one of these and 'keep' or 'off'", 'got one without a name'],
    [['litellm'], "with one of these and 'keep' or 'off'", 'got an array'],
  ])('shows what is wrong with %o', (gateway, ...said) => {
    const make = () => steady(new OpenAI({ apiKey: 'k' }), { gateway: gateway as never })
    for (const words of said) expect(make).toThrow(words)
  })

  it('names the gateways where it does not know one', () => {
    expect(() => steady(new OpenAI({ apiKey: 'k' }), { gateway: 'kong' as never })).toThrow(
      "gateway must be 'litellm' or 'portkey' or 'helicone' or 'cloudflare' or 'openrouter', or { name, fallbacks? } with one of these and 'keep' or 'off', got 'kong'",
    )
  })
})

describe('attempts that a gateway says it made', () => {
  it.each([
    ['litellm', answered({ 'x-litellm-attempted-retries': '2' }), 3],
    [
      'litellm',
      answered({ 'x-litellm-attempted-retries': '0', 'x-litellm-attempted-fallbacks': '1' }),
      2,
    ],
    ['litellm', answered({ 'x-litellm-attempted-retries': '0' }), 1],
    ['portkey', answered({ 'x-portkey-retry-attempt-count': '3' }), 4],
    ['portkey', answered({ 'x-portkey-retry-attempt-count': '-1' }), 2],
    ['openrouter', answered({}, { openrouter_metadata: { attempt: 2 } }), 2],
    ['cloudflare', answered({}), undefined],
    ['litellm', answered({ 'x-litellm-attempted-retries': '1e9' }), undefined],
    ['litellm', answered({ 'x-litellm-attempted-retries': '' }), undefined],
    ['openrouter', answered({}, { openrouter_metadata: { attempt: 1.5 } }), undefined],
    ['openrouter', answered({}, { openrouter_metadata: { attempt: -2 } }), undefined],
    ['openrouter', answered({}, { openrouter_metadata: { attempt: 1e12 } }), undefined],
    ['openrouter', answered({}, { openrouter_metadata: 'many' }), undefined],
  ] as const)('%s: are in the report (%#)', async (gateway, fault, attempts) => {
    const { llm } = await setUp({ script: [fault, fault] }, { gateway })
    const completion = await llm.chat.completions.create(ask('one'))
    expect(callReport(completion)?.attempts[0]?.gatewayAttempts).toBe(attempts)
    const { attempts: reports } = await llm.json({ ...ask('two'), schema: {} })
    expect(reports[0]?.gatewayAttempts).toBe(attempts)
  })

  it('are read from the last chunk of a stream, and told though nothing is thrown', async () => {
    const events: CallEvent[] = []
    const { llm } = await setUp(
      { script: [streamed({ openrouter_metadata: { attempt: 3 } })] },
      {
        gateway: 'openrouter',
        onEvent: (event) => events.push(event),
        onMultipliedRetries: 'throw',
      },
    )
    const stream = await llm.chat.completions.create({ ...ask('one'), stream: true })
    for await (const _ of stream);
    expect(callReport(stream)?.attempts).toMatchObject([{ outcome: 'success', gatewayAttempts: 3 }])
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'retries-multiplied', gatewayAttempts: 3 }),
    )
  })

  it('are read from an error: its headers, or the errors before it', async () => {
    const before = { error: { code: 502, message: 'no', metadata: { previous_errors: [{}, {}] } } }
    const { llm } = await setUp({ script: [httpError(400, before)] }, { gateway: 'openrouter' })
    const error = await rejection(llm.chat.completions.create(ask('one')))
    expect(callReport(error)?.attempts[0]?.gatewayAttempts).toBe(3)

    const limited = httpError(400, { error: {} }, { 'x-litellm-attempted-retries': '4' })
    const { llm: other } = await setUp({ script: [limited] }, { gateway: 'litellm' })
    const second = await rejection(other.chat.completions.create(ask('one')))
    expect(callReport(second)?.attempts[0]?.gatewayAttempts).toBe(5)
  })

  it.each([
    [
      'a format that it does not take',
      { error: { message: "response_format of type 'json_schema' is not supported" } },
    ],
    [
      'an answer that its provider could not read',
      { error: { message: 'no', code: 'json_validate_failed', failed_generation: '{' } },
    ],
  ])('are in the report too where json asks again after %s', async (_, body) => {
    const refused = httpError(400, body, { 'x-litellm-attempted-retries': '2' })
    const { server, llm } = await setUp(
      { script: [refused, answered({ 'x-litellm-attempted-retries': '0' })] },
      { gateway: 'litellm' },
    )
    const { attempts } = await llm.json({ ...ask('one'), schema: { type: 'object' } })
    expect(server.count).toBe(2)
    expect(attempts.map(({ gatewayAttempts }) => gatewayAttempts)).toEqual([3, 1])
  })

  it.each([
    ['{"retry":{"attempts":3}}', 4],
    ['pc-saved-5f2', 2],
    ['{"retry":{"attempts":1e9}}', 2],
    ['{"targets":[{}]}', 2],
  ])('portkey: -1 is all that the config %s allows, or at least one', async (config, attempts) => {
    const spent = httpError(
      400,
      { error: { message: 'no' } },
      { 'x-portkey-retry-attempt-count': '-1' },
    )
    const { llm } = await setUp(
      { script: [spent] },
      { gateway: 'portkey' },
      { defaultHeaders: { 'x-portkey-config': config } },
    )
    const error = await rejection(llm.chat.completions.create(ask('one')))
    expect(callReport(error)?.attempts[0]?.gatewayAttempts).toBe(attempts)
  })

  it('that are fallbacks count and are no multiplication where they are kept', async () => {
    const events: CallEvent[] = []
    const once = answered({
      'x-litellm-attempted-retries': '0',
      'x-litellm-attempted-fallbacks': '1',
    })
    const retried = answered({ 'x-litellm-attempted-retries': '1' })
    const { llm } = await setUp(
      { script: [once, retried] },
      {
        gateway: { name: 'litellm', fallbacks: 'keep' },
        onEvent: (event) => events.push(event),
      },
    )
    const fallenBack = await llm.chat.completions.create(ask('one'))
    expect(callReport(fallenBack)?.attempts[0]?.gatewayAttempts).toBe(2)
    expect(events.filter(({ type }) => type === 'retries-multiplied')).toEqual([])
    await llm.chat.completions.create(ask('two'))
    expect(events.filter(({ type }) => type === 'retries-multiplied')).toMatchObject([
      { gatewayAttempts: 2 },
    ])
  })

  it("under 'throw' make a failure multiplied_retries, and leave a success alone", async () => {
    const headers = { 'x-litellm-attempted-retries': '2' }
    const { server, llm } = await setUp(
      { script: [httpError(503, { error: { message: 'busy' } }, headers), answered(headers)] },
      { gateway: 'litellm', onMultipliedRetries: 'throw' },
    )
    const error = await rejection(llm.json({ ...ask('one'), schema: {} }))
    expect(error).toMatchObject({ kind: 'multiplied_retries', retryable: false })
    expect(server.count).toBe(1)
    // Thrown for the failure, and once more before the next send.
    await rejection(llm.json({ ...ask('refused'), schema: {} }))
    await expect(llm.json({ ...ask('two'), schema: {} })).resolves.toMatchObject({
      attempts: [{ gatewayAttempts: 3 }],
    })
  })
})
