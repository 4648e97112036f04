import type OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { ok } from '../../../src/testing/index.ts'
import { ask, person, rejection, setUp } from '../../support/set-up.ts'

const asked = ask('who?')
const options = { deadlineMs: 5_000 }
const SAID =
  'create(): steady is no parameter of a request; it belongs into the second argument: create(params, { steady: { … } }), likewise for parse, stream and runTools'

// What untyped callers may give.
const loosely = (params: object): never => params as never

describe('options of ours among the parameters', () => {
  it.each<[string, (llm: OpenAI) => PromiseLike<unknown>]>([
    ['create', (llm) => llm.chat.completions.create(loosely({ ...asked, steady: options }))],
    [
      'create, streamed',
      (llm) => llm.chat.completions.create(loosely({ ...asked, stream: true, steady: options })),
    ],
    ['parse', (llm) => llm.chat.completions.parse(loosely({ ...asked, steady: options }))],
    ['stream', (llm) => llm.chat.completions.stream(loosely({ ...asked, steady: options })).done()],
    [
      'runTools',
      (llm) =>
        llm.chat.completions.runTools(loosely({ ...asked, tools: [], steady: options })).done(),
    ],
  ])('are refused by name, and nothing is sent: %s', async (_, call) => {
    const { llm, server } = await setUp({ script: [ok()] })
    expect(String(await rejection(call(llm)))).toContain(SAID)
    expect(server.count).toBe(0)
  })

  it.each<[string, unknown]>([
    ['idempotencyKey', 'k'],
    ['deadlineMs', 5_000],
    ['maxAttempts', 1],
    ['signal', new AbortController().signal],
    ['payload', { id: 1 }],
    ['onTruncated', 'extend'],
    ['repair', 'off'],
    ['requestOptions', { timeout: 1 }],
  ])('are refused by name in json: %s', async (name, value) => {
    const { llm, server } = await setUp({ script: [ok()] })
    const error = await rejection(llm.json(loosely({ ...asked, schema: person, [name]: value })))
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toContain(
      `json(): ${name} is no parameter of a request; it belongs into the second argument: json(params, { ${name} })`,
    )
    expect(server.count).toBe(0)
  })

  it('are refused by name in json: steady', async () => {
    const { llm, server } = await setUp({ script: [ok()] })
    const error = await rejection(llm.json(loosely({ ...asked, schema: person, steady: options })))
    expect(String(error)).toContain(
      'json(): steady is no parameter of a request; its options belong',
    )
    expect(server.count).toBe(0)
  })

  it('are not minded where they are undefined', async () => {
    const { llm, server } = await setUp({ script: [ok(), ok()] })
    await llm.json(loosely({ ...asked, schema: person, deadlineMs: undefined }))
    await llm.chat.completions.create(loosely({ ...asked, steady: undefined }), {
      steady: undefined,
    } as never)
    expect(server.count).toBe(2)
  })

  it('with a name that a gateway knows go to the gateway', async () => {
    const { llm, server } = await setUp({ script: [ok()] })
    await llm.json(loosely({ ...asked, schema: person, fallbacks: ['gpt-other'] }))
    expect(server.requests[0]?.body).toMatchObject({ fallbacks: ['gpt-other'] })
  })
})

describe('options that are gone', () => {
  const gone: readonly (readonly [string, unknown, string])[] = [
    ['breaker', false, 'a call waits for a target that is down'],
    ['maxRetryAfterMs', 60_000, 'use maxWaitMs'],
    ['retryBudget', {}, 'a retry waits for the retry budget'],
    ['hintSpread', 0.1, 'the spread is fixed'],
    ['concurrency', 8, 'use limits: { concurrency } of steady()'],
  ]

  it.each(gone)(
    '%s beside steady is refused, with what took its place',
    async (name, value, now) => {
      const { llm, server } = await setUp({ script: [ok()] })
      const error = await rejection(llm.chat.completions.create(asked, loosely({ [name]: value })))
      expect(error).toBeInstanceOf(TypeError)
      expect(String(error)).toContain(`create(): unknown option '${name}'; ${now}`)
      expect(server.count).toBe(0)
    },
  )

  it.each(gone.slice(0, 4))(
    '%s among the parameters is refused, with what took its place',
    async (name, value, now) => {
      const { llm, server } = await setUp({ script: [ok()] })
      const params = { ...asked, schema: person, [name]: value }
      const { schema: _, ...plain } = params
      for (const [face, call] of [
        ['create', () => llm.chat.completions.create(loosely(plain))],
        ['json', () => llm.json(loosely(params))],
      ] as const) {
        const error = await rejection(call())
        expect(error).toBeInstanceOf(TypeError)
        expect(String(error)).toContain(`${face}(): unknown option '${name}'; ${now}`)
      }
      expect(server.count).toBe(0)
    },
  )

  it('are not minded where they are undefined', async () => {
    const { llm, server } = await setUp({ script: [ok(), ok()] })
    await llm.chat.completions.create(
      loosely({ ...asked, breaker: undefined }),
      loosely({ breaker: undefined }),
    )
    expect(server.count).toBe(1)
  })
})

describe('priority among the parameters', () => {
  it.each([0, -3, 100])('goes to the provider as a number: %i', async (priority) => {
    const { llm, server } = await setUp({ script: [ok(), ok()] })
    await llm.chat.completions.create(loosely({ ...asked, priority }))
    await llm.json(loosely({ ...asked, schema: person, priority }))
    expect(server.requests.map(({ body }) => body)).toMatchObject([{ priority }, { priority }])
  })

  it.each(['bulk', 'normal'])('is ours as %s, and refused', async (priority) => {
    const { llm, server } = await setUp({ script: [ok(), ok()] })
    expect(
      String(await rejection(llm.chat.completions.create(loosely({ ...asked, priority })))),
    ).toContain(
      'create(): priority is no parameter of a request; it belongs into the second argument: create(params, { steady: { priority } })',
    )
    expect(
      String(await rejection(llm.json(loosely({ ...asked, schema: person, priority })))),
    ).toContain(
      'json(): priority is no parameter of a request; it belongs into the second argument: json(params, { priority })',
    )
    expect(server.count).toBe(0)
  })
})

describe('options of ours beside steady', () => {
  it.each(['deadlineMs', 'maxAttempts', 'payload', 'fallbacks'])(
    'are refused by name: %s',
    async (name) => {
      const { llm, server } = await setUp({ script: [ok()] })
      const error = await rejection(llm.chat.completions.create(asked, loosely({ [name]: 1 })))
      expect(error).toBeInstanceOf(TypeError)
      expect(String(error)).toContain(
        `create(): ${name} is no request option of openai; it belongs under steady: create(params, { steady: { ${name} } })`,
      )
      expect(server.count).toBe(0)
    },
  )

  it.each([
    ['deadlineMS', 'steady.deadlineMs'],
    ['maxAttempt', 'steady.maxAttempts'],
    ['stedy', 'steady'],
  ])('are refused where they are misspelt, with the name that is near: %s', async (name, near) => {
    const { llm, server } = await setUp({ script: [ok()] })
    const error = await rejection(llm.chat.completions.create(asked, loosely({ [name]: 1 })))
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toContain(`create(): unknown option '${name}'; did you mean '${near}'?`)
    expect(server.count).toBe(0)
  })

  it.each([
    [
      'deadlineMs',
      'deadlineMs is no request option of openai; it belongs beside requestOptions: json(params, { deadlineMs })',
    ],
    ['maxAttempt', "unknown option 'requestOptions.maxAttempt'; did you mean 'maxAttempts'?"],
    ['breaker', "unknown option 'breaker'; a call waits for a target that is down"],
  ])('are refused among the request options of json: %s', async (name, said) => {
    const { llm, server } = await setUp({ script: [ok()] })
    const requestOptions = loosely({ [name]: 1 })
    const error = await rejection(llm.json({ ...asked, schema: person }, { requestOptions }))
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toContain(`json(): ${said}`)
    expect(server.count).toBe(0)
  })

  it('are not seen in what only openai may know', async () => {
    const { llm, server } = await setUp({ script: [ok()] })
    const theirs = { defaultBaseURL: 'x', __metadata: {}, __security: {}, pollIntervalMs: 5 }
    await llm.chat.completions.create(asked, loosely(theirs))
    expect(server.count).toBe(1)
  })

  it("are openai's where it has them too", async () => {
    const { llm, server } = await setUp({ script: [ok()] })
    const { signal } = new AbortController()
    await llm.chat.completions.create(asked, { signal, idempotencyKey: 'theirs', maxRetries: 1 })
    expect(server.count).toBe(1)
  })

  it.each(['deadlineMs', 'maxAttempts', 'idempotencyKey', 'onUncertain'])(
    '%s, of ours, among the parameters of create is refused unsent',
    async (name) => {
      const { llm, server } = await setUp()
      const error = await rejection(llm.chat.completions.create(loosely({ ...asked, [name]: 1 })))
      expect(error).toBeInstanceOf(TypeError)
      expect(String(error)).toContain(
        `create(): ${name} is no parameter of a request; it belongs into the second argument: create(params, { steady: { ${name} } })`,
      )
      expect(server.count).toBe(0)
    },
  )

  it('what may be a provider’s own parameter is sent', async () => {
    const { llm, server } = await setUp()
    await llm.chat.completions.create(loosely({ ...asked, payload: 1, repair: 'x' }))
    expect(server.requests[0]?.body).toMatchObject({ payload: 1, repair: 'x' })
  })
})
