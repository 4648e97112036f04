import fc from 'fast-check'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { callReport, createRuntime, memoryStore, steady } from '../../../src/index.ts'
import {
  chunk,
  DONE,
  event,
  inPieces,
  majors,
  outcomeOf,
  providerOf,
  role,
  stop,
  text,
  whole,
} from '../../support/event-streams.ts'
import { fuzzRuns } from '../../support/fuzz-runs.ts'
import { ask, rejection } from '../../support/set-up.ts'

/** What stands where others send null. */
const placeholders: readonly unknown[] = [
  '',
  ' \n',
  'null',
  'None',
  'undefined',
  'unspecified',
  'FINISH_REASON_UNSPECIFIED',
  'FinishReason.FINISH_REASON_UNSPECIFIED',
  'FINISH_REASON_NOT_SET',
  'NaN',
  'unset',
  'not set',
  'empty',
  'unknown',
  'in_progress',
  'in-flight',
  '<nil>',
  '"null"',
  'NoneType',
  'nullptr',
  'NotSet',
  'not specified',
  'FinishReasonUnspecified',
  'FinishReason::None',
  'UNSPECIFIED_FINISH_REASON',
  'no finish reason',
  'kNOT_FINISHED',
  'not finished yet',
  'InProgress',
  'still generating',
  'None\0',
  '-',
  '...',
  '0',
  0,
  false,
  true,
  {},
  [],
]

describe.each(majors)('a stream of %s', (_, Client) => {
  describe.each(placeholders)('whose chunks have the finish_reason %j', (reason) => {
    it('is whole with a real one at its end', async () => {
      const body = [text('', reason), text('Hel', reason), text('lo', reason), stop, DONE]
      expect(await outcomeOf(Client, [body])).toMatchObject({
        text: 'Hello',
        thrown: undefined,
        requests: 1,
      })
    })

    it('is asked for again when it is cut before its content', async () => {
      expect(await outcomeOf(Client, [[text('', reason)], whole])).toMatchObject({
        text: 'Hello',
        thrown: undefined,
        requests: 2,
      })
    })

    it('is an error when it is cut after some', async () => {
      const body = [role, text('Hel', reason), chunk({ finish_reason: reason })]
      const { thrown, ...seen } = await outcomeOf(Client, [body, whole])
      expect(seen).toMatchObject({ text: 'Hel', outcome: 'network', requests: 1 })
      expect(thrown).toBeInstanceOf(Client.APIConnectionError)
    })
  })

  it.each([
    'stop',
    'eos_token',
    'COMPLETE',
    'length',
    'incomplete',
    'SAFETY',
    'a word of its own',
    'tool use is not allowed',
    '\u505c\u6b62',
    'x'.repeat(80),
  ])('is whole with the finish_reason %j, and without [DONE]', async (reason) => {
    const body = [role, text('Hello'), chunk({ finish_reason: reason })]
    expect(await outcomeOf(Client, [body])).toMatchObject({
      text: 'Hello',
      thrown: undefined,
      outcome: 'success',
    })
  })

  it.each([
    ['data: [DONE]\n\n'],
    ['data:[DONE]\n\n'],
    ['data: [DONE]\r\n\r\n'],
    ['data: [DONE]\r\r'],
    ['data: [DONE]\n'],
    ['data: [DONE]'],
    ['data: [DONE] \n\n'],
    ['event: done\ndata: [DONE]\n\n'],
    ['data: [DONE]\n\n: a comment behind it\n\n'],
    ['data: [DONE]\n\ndata: [DONE]\n\n'],
    [`data: [DONE]\n\n${': and so on\n\n'.repeat(1_000)}`],
    [': last words\n\ndata: [DONE]\n\n'],
  ])('is whole without a finish_reason when %j ends it', async (end) => {
    for (const body of [[role, text('Hel'), text('lo'), end], [`${role}${text('Hello')}${end}`]]) {
      expect(await outcomeOf(Client, [body])).toMatchObject({
        text: 'Hello',
        thrown: undefined,
        outcome: 'success',
        requests: 1,
      })
    }
  })

  it.each([
    [''],
    ['data: [DON'],
    ['data: [DONE'],
    [': [DONE]\n\n'],
    [': data: [DONE]\n\n'],
    ['id: [DONE]\n\n'],
    ['data'],
    [text('data: [DONE]')],
    [text('\ndata: [DONE]\n\n')],
    [event({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } })],
  ])('is cut without a finish_reason when %j is its end', async (end) => {
    const { thrown, outcome } = await outcomeOf(Client, [[role, text('Hello'), end]])
    expect(thrown).toBeInstanceOf(Client.APIConnectionError)
    expect(outcome).toBe('network')
  })

  it.each(['stop', 'a word'])(
    'that has the finish_reason %j with every word is whole by [DONE] alone',
    async (reason) => {
      const body = [role, text('Hel', reason), text('lo', reason)]
      expect(await outcomeOf(Client, [body])).toMatchObject({ outcome: 'network' })
      expect(await outcomeOf(Client, [[...body, DONE]])).toMatchObject({
        text: 'Hello',
        thrown: undefined,
      })
    },
  )

  it('may repeat its finish_reason, and say more of itself behind it', async () => {
    const body = [role, text('Hello', 'stop'), stop, chunk({ delta: { annotations: [{}] } })]
    expect(await outcomeOf(Client, [body])).toMatchObject({ outcome: 'success' })
  })

  it.each([
    ['its finish_reason', stop],
    ['[DONE]', DONE],
  ])('broken behind %s is whole', async (_what, end) => {
    const broken = [role, text('Hello'), end, new Error('read ECONNRESET')]
    expect(await outcomeOf(Client, [broken])).toMatchObject({ text: 'Hello', outcome: 'success' })
    const early = [role, text('Hello'), new Error('read ECONNRESET')]
    expect((await outcomeOf(Client, [early])).thrown).toBeDefined()
  })

  it('of nothing but [DONE], or without a choice, is an empty response: asked for once more', async () => {
    const usage = event({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 0 } })
    for (const nothing of [[DONE], [usage, DONE], [event({ choices: [] }), DONE]]) {
      expect(await outcomeOf(Client, [nothing, whole])).toMatchObject({
        text: 'Hello',
        requests: 2,
      })
      expect(await outcomeOf(Client, [nothing])).toMatchObject({
        outcome: 'empty_response',
        requests: 2,
      })
    }
  })

  it('of a role and [DONE] is an answer without text, as openai has it', async () => {
    expect(await outcomeOf(Client, [[role, DONE]])).toMatchObject({
      text: '',
      chunks: 1,
      thrown: undefined,
      requests: 1,
    })
  })

  describe('of several choices', () => {
    const of = (index: number, choice: object) => chunk({ index, ...choice })
    const says = (index: number, content: string) => of(index, { delta: { content } })
    const ends = (index: number) => of(index, { finish_reason: 'stop' })

    it.each([
      ['the second one has not begun', [says(0, 'a'), ends(0)]],
      ['the second one has not ended', [says(0, 'a'), ends(0), says(1, 'b')]],
      [
        'the first one goes on behind its end',
        [says(0, 'a'), ends(0), says(1, 'b'), ends(1), says(0, 'c')],
      ],
      ['the second one has an empty reason', [ends(0), says(1, 'b'), of(1, { finish_reason: '' })]],
    ])('is cut where %s', async (_what, body) => {
      const { outcome } = await outcomeOf(Client, [[role, ...body]], {}, { n: 2 })
      expect(outcome).toBe('network')
      const done = await outcomeOf(Client, [[role, ...body, DONE]], {}, { n: 2 })
      expect(done).toMatchObject({ thrown: undefined, outcome: 'success' })
    })

    it.each([
      ['in turn', [says(0, 'a'), ends(0), says(1, 'b'), ends(1)]],
      [
        'in one chunk',
        [event({ choices: [0, 1].map((index) => ({ index, delta: {}, finish_reason: 'stop' })) })],
      ],
      [
        'with an empty reason behind the real one',
        [says(0, 'a'), ends(0), of(0, { finish_reason: '' }), ends(1)],
      ],
    ])('is whole where each has ended: %s', async (_what, body) => {
      const { thrown } = await outcomeOf(Client, [[role, ...body]], {}, { n: 2 })
      expect(thrown).toBeUndefined()
    })

    it('is believed by [DONE] alone when it has more choices than anybody may ask for', async () => {
      const body = Array.from({ length: 200 }, (_choice, index) => ends(index))
      expect(await outcomeOf(Client, [body])).toMatchObject({ outcome: 'network' })
      expect(await outcomeOf(Client, [[...body, DONE]])).toMatchObject({ outcome: 'success' })
    })
  })

  it('has one verdict, whatever the pieces it comes in', async () => {
    const bodies = [
      { body: [role, text('Hello D'), DONE], outcome: 'success' },
      { body: [role, text('Hello D')], outcome: 'network' },
      { body: [role, text('data: [DONE]', ''), stop], outcome: 'success' },
      { body: [role, text('Hello'), ': ping\r\n\r\ndata: [DONE]\r\n\r\n'], outcome: 'success' },
      { body: [role, text('Hello'), 'data: [DONE'], outcome: 'network' },
      {
        body: [role, text('Hello'), event({ detail: 'Internal Server Error' }), DONE],
        outcome: 'server_error',
      },
      { body: [role, text('Hello'), 'data: {oops\n\n', DONE], outcome: 'server_error' },
      { body: ['<html><title>502 Bad Gateway</title></html>'], outcome: 'server_error' },
    ]
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...bodies),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 }),
        async ({ body, outcome }, cuts) => {
          const seen = await outcomeOf(Client, [inPieces(body, cuts)], { maxAttempts: 1 })
          expect(seen.outcome).toBe(outcome)
        },
      ),
      { numRuns: fuzzRuns(150) },
    )
    for (const { body, outcome } of bodies) {
      const everyByte = Array.from({ length: 400 }, (_byte, index) => index / 400)
      expect(
        await outcomeOf(Client, [inPieces(body, everyByte)], { maxAttempts: 1 }),
      ).toMatchObject({ outcome })
    }
  })
})

describe('under a key', () => {
  const setting = (bodies: Parameters<typeof providerOf>[0]) => {
    const provider = providerOf(bodies)
    const client = new OpenAI({
      apiKey: 'k',
      baseURL: 'http://localhost/v1',
      fetch: provider.fetch,
    })
    const store = memoryStore()
    const llm = steady(client, { runtime: createRuntime({ random: () => 0 }), store })
    const read = async () => {
      const stream = await llm.chat.completions.create(
        { ...ask('go on'), stream: true },
        { steady: { idempotencyKey: 'k' } },
      )
      let said = ''
      for await (const { choices } of stream) said += choices[0]?.delta.content ?? ''
      return { said, source: callReport(stream)?.source }
    }
    return { read, provider }
  }

  it.each([[''], ['null'], [undefined]])(
    'a half answer is not kept: with the finish_reason %j it is cut, and the next call asks again',
    async (reason) => {
      const { read, provider } = setting([[text('Hel', reason)], whole])
      await expect(read()).rejects.toThrow()
      expect(await read()).toEqual({ said: 'Hello', source: 'provider' })
      expect(provider.requests).toBe(2)
    },
  )

  it('an answer that [DONE] has ended is kept, and given out again', async () => {
    const { read, provider } = setting([[role, text('Hello'), DONE]])
    expect(await read()).toEqual({ said: 'Hello', source: 'provider' })
    expect(await read()).toEqual({ said: 'Hello', source: 'store' })
    expect(provider.requests).toBe(1)
  })
})

describe('a whole completion with an empty finish_reason', () => {
  const completion = (finish_reason: unknown, content: string) =>
    JSON.stringify({
      choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason }],
    })
  const given = (body: string) => {
    const provider = providerOf([[body]], 'application/json')
    const client = new OpenAI({
      apiKey: 'k',
      baseURL: 'http://localhost/v1',
      fetch: provider.fetch,
    })
    return { llm: steady(client, { runtime: createRuntime({ random: () => 0 }) }), provider }
  }
  const schema = { type: 'object', properties: { a: { type: 'number' } }, required: ['a'] } as const

  it.each(['', 'null', null])('%j is data for create, and an answer for json', async (reason) => {
    const { llm } = given(completion(reason, '{"a":1}'))
    const { choices } = await llm.chat.completions.create(ask('one'))
    expect(choices[0]?.finish_reason).toBe(reason)
    expect((await llm.json({ ...ask('two'), schema })).value).toEqual({ a: 1 })
  })

  it.each(['', 'null', null])('%j does not make a cut text whole', async (reason) => {
    const { llm } = given(completion(reason, '{"a":'))
    await expect(llm.json({ ...ask('one'), schema })).rejects.toMatchObject({ kind: 'truncated' })
  })
})

describe('a stream through two layers of steadycall', () => {
  it('is whole where the inner one has seen its [DONE], and cut where it has not', async () => {
    for (const [end, outcome] of [
      [DONE, 'success'],
      ['', 'network'],
    ] as const) {
      const provider = providerOf([[role, text('Hello'), end]])
      const client = new OpenAI({
        apiKey: 'k',
        baseURL: 'http://localhost/v1',
        fetch: provider.fetch,
      })
      const inner = steady(client, { runtime: createRuntime() })
      const outer = steady(inner, { runtime: createRuntime() })
      const stream = await outer.chat.completions.create({ ...ask('go on'), stream: true })
      const reading = (async () => {
        for await (const _ of stream);
      })()
      await reading.catch(() => {})
      expect(callReport(stream)?.outcome).toBe(outcome)
      expect(provider.requests).toBe(1)
    }
  })
})

describe('a stream whose bytes cannot be seen', () => {
  const chunkOf = (content: string, finish_reason: string | null) => ({
    choices: [{ index: 0, delta: { content }, finish_reason }],
  })
  it.each([
    ['is whole with a finish_reason', 'stop', 'success'],
    ['is cut without one: nothing tells that it has ended', null, 'network'],
  ] as const)('%s', async (_what, reason, outcome) => {
    const { Stream } = await import('openai/streaming')
    const client = new OpenAI({ apiKey: 'k', baseURL: 'http://localhost/v1' })
    const create = async () =>
      new Stream(async function* () {
        yield chunkOf('Hel', null)
        yield chunkOf('lo', reason)
      }, new AbortController())
    Reflect.set(client.chat.completions, 'create', create)
    const llm = steady(client, { runtime: createRuntime() })
    const stream = await llm.chat.completions.create({ ...ask('go on'), stream: true })
    let said = ''
    const reading = (async () => {
      for await (const { choices } of stream) said += choices[0]?.delta.content ?? ''
    })()
    await reading.catch(() => {})
    expect(said).toBe('Hello')
    expect(callReport(stream)?.outcome).toBe(outcome)
  })
})

describe('a stream that has no body', () => {
  it.each(majors)('is an empty response, read with %s: asked for once more', async (_, Client) => {
    let requests = 0
    const fetch = async () => {
      requests += 1
      return new Response(null, { status: 204 })
    }
    const client = new Client({ apiKey: 'k', baseURL: 'http://localhost/v1', fetch })
    const llm = steady(client, { runtime: createRuntime({ random: () => 0 }) })
    const error = await rejection(llm.chat.completions.create({ ...ask('go on'), stream: true }))
    expect(callReport(error)?.outcome).toBe('empty_response')
    expect(requests).toBe(2)
  })
})

describe('the raw response of a stream', () => {
  it.each(majors)('is handed on as it came, with %s', async (_, Client) => {
    const provider = providerOf([[role, text('Hello')]])
    const client = new Client({
      apiKey: 'k',
      baseURL: 'http://localhost/v1',
      fetch: provider.fetch,
    })
    const llm = steady(client, { runtime: createRuntime() })
    const response = await llm.chat.completions
      .create({ ...ask('go on'), stream: true })
      .asResponse()
    await expect(response.text()).resolves.toBe(role + text('Hello'))
  })
})

describe.each(majors)(
  'a branch of a stream, or the readable that it becomes, with %s',
  (_, Client) => {
    const opened = async (end: string) => {
      const provider = providerOf([[role, text('Hello'), end]])
      const client = new Client({
        apiKey: 'k',
        baseURL: 'http://localhost/v1',
        fetch: provider.fetch,
      })
      const llm = steady(client, { runtime: createRuntime() })
      return llm.chat.completions.create({ ...ask('go on'), stream: true })
    }
    const read = async (from: AsyncIterable<unknown>) => {
      for await (const _chunk of from);
    }

    it('ends with [DONE]', async () => {
      const [left, right] = (await opened(DONE)).tee()
      await Promise.all([read(left), read(right)])
      const lines = await new Response((await opened(DONE)).toReadableStream()).text()
      expect(lines.trim().split('\n')).toHaveLength(2)
    })

    it('fails without', async () => {
      const [left, right] = (await opened('')).tee()
      const both = await Promise.all([rejection(read(left)), rejection(read(right))])
      for (const error of both) expect(error).toBeInstanceOf(Client.APIConnectionError)
      const readable = (await opened('')).toReadableStream()
      await expect(new Response(readable).text()).rejects.toThrow()
    })
  },
)
