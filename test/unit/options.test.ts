import OpenAI, * as openaiModule from 'openai'
import { describe, expect, it } from 'vitest'
import { type CallOptions, memoryStore, runIdempotent, steady } from '../../src/index.ts'
import { type CallFace, resolveCall } from '../../src/options/resolve-options.ts'

const client = new OpenAI({ apiKey: 'test', baseURL: 'http://127.0.0.1:1/v1' })

/** Calls `steady` as untyped JavaScript would. */
function steadyWith(options: object): unknown {
  return steady(client, options)
}

const INSTEAD: Readonly<Record<string, string>> = {
  concurrency: 'use limits: { concurrency } of steady()',
  maxRetryAfterMs: 'use maxWaitMs: it bounds all that a call waits for its target',
  breaker: 'a call waits for a target that is down, for at most maxWaitMs',
  retryBudget: 'a retry waits for the retry budget, for at most maxWaitMs',
  hintSpread: 'the spread is fixed: after a hint calls wait up to a tenth of it longer',
}

describe('options of steady()', () => {
  it.each([
    [{ maxAttempts: 0 }, 'steady(): maxAttempts must be an integer from 1 to 10, got 0'],
    [{ maxAttempts: 11 }, 'steady(): maxAttempts must be an integer from 1 to 10, got 11'],
    [{ maxAttempts: '3' }, "steady(): maxAttempts must be an integer from 1 to 10, got '3'"],
    [{ maxReasks: 10 }, 'steady(): maxReasks must be an integer from 0 to 9, got 10'],
    [{ deadlineMs: 0 }, 'steady(): deadlineMs must be a positive number of milliseconds, got 0'],
    [
      { deadlineMs: NaN },
      'steady(): deadlineMs must be a positive number of milliseconds, got NaN',
    ],
    [
      { deadlineMs: null },
      'steady(): deadlineMs must be a positive number of milliseconds, got null',
    ],
    [
      { attemptTimeoutMs: -1 },
      'attemptTimeoutMs must be a positive number of milliseconds, got -1',
    ],
    [{ firstChunkTimeoutMs: '1s' }, "must be a positive number of milliseconds, got '1s'"],
    [{ chunkIdleTimeoutMs: Infinity }, 'must be a positive number of milliseconds, got Infinity'],
    [
      { maxWaitMs: -1 },
      'maxWaitMs must be a number of milliseconds from 0 to 1000000000000 (as long as the deadline: the value of deadlineMs), got -1',
    ],
    [
      { maxWaitMs: Infinity },
      'maxWaitMs must be a number of milliseconds from 0 to 1000000000000 (as long as the deadline: the value of deadlineMs), got Infinity',
    ],
    [{ maxRequests: 0 }, 'steady(): maxRequests must be an integer from 1 to 100, got 0'],
    [{ maxRequests: 101 }, 'steady(): maxRequests must be an integer from 1 to 100, got 101'],
    [{ priority: 'low' }, "priority must be 'normal' or 'bulk', got 'low'"],
    [{ backoff: 500 }, 'backoff must be a backoff such as fullJitter(), got 500'],
    [{ fallbacks: {} }, 'fallbacks must be an array of { model?, client?, on? }'],
    [{ fallbacks: [{}] }, 'with a model or a client, got one with neither'],
    [{ repair: 'on' }, "repair must be 'off' or 'syntax' or 'safe' or 'lenient', got 'on'"],
    [{ onTruncated: 'retry' }, "onTruncated must be 'fail' or 'extend', got 'retry'"],
    [{ toolCalls: 'yes' }, "toolCalls must be 'off' or 'check', got 'yes'"],
    [{ idempotency: 'on' }, "idempotency must be 'given' or 'derive', got 'on'"],
    [{ ttlMs: 0 }, 'ttlMs must be a positive number of milliseconds, got 0'],
    [{ onUncertain: 'retry' }, "onUncertain must be 'rerun' or 'fail', got 'retry'"],
    [{ onStoreError: 'ignore' }, "onStoreError must be 'fail' or 'bypass', got 'ignore'"],
    [{ gateway: 'kong' }, "gateway must be 'litellm' or 'portkey' or 'helicone'"],
    [{ store: {} }, 'store must be a Store such as memoryStore(), got an object'],
    [{ tenant: '' }, 'tenant must be a string of 1 to 255 characters'],
    [{ keySecret: 7 }, 'keySecret must be a string of 1 to 4096 characters, got 7'],
    [{ runtime: {} }, 'runtime must be a Runtime made by createRuntime(), got an object'],
    [{ limits: 'on' }, "limits must be 'auto', 'off' or { concurrency?, requestsPerMinute?,"],
    [{ limits: [] }, "limits must be 'auto', 'off' or"],
    [{ limits: 20 }, "limits must be 'auto', 'off' or"],
    [{ limits: false }, "limits must be 'auto', 'off' or"],
    [{ minAttemptMs: 0 }, 'minAttemptMs must be a positive number of milliseconds, got 0'],
    [{ hedge: 'yes' }, 'hedge must be true, false or { delayMs?, maxExtraLoad? }'],
    [
      { onMultipliedRetries: 'error' },
      "onMultipliedRetries must be 'warn' or 'throw', got 'error'",
    ],
    [
      { telemetry: true },
      'telemetry must be { captureContent?: boolean, redact?: function, propagateTraceparent?: boolean }',
    ],
    [{ onEvent: 'log' }, "onEvent must be a function, got 'log'"],
  ])('refuses %j by name, with what is allowed', (options, message) => {
    expect(() => steadyWith(options)).toThrow(message)
    expect(() => steadyWith(options)).toThrow(TypeError)
  })

  it.each([
    ['maxRetries', "unknown option 'maxRetries'"],
    ['maxAttempt', "unknown option 'maxAttempt'; did you mean 'maxAttempts'?"],
    ['deadline', "unknown option 'deadline'; did you mean 'deadlineMs'?"],
    ['onevent', "unknown option 'onevent'; did you mean 'onEvent'?"],
    ['idempotencyKey', "unknown option 'idempotencyKey'"],
    ['__proto__x', "unknown option '__proto__x'"],
    ['concurency', "unknown option 'concurency'; did you mean 'limits.concurrency'?"],
    ['captureContent', "unknown option 'captureContent'; did you mean 'telemetry.captureContent'?"],
    ['maxExtraload', "unknown option 'maxExtraload'; did you mean 'hedge.maxExtraLoad'?"],
  ])('refuses the unknown %s and names what is near', (name, message) => {
    expect(() => steadyWith({ [name]: 1 })).toThrow(message)
  })

  it.each<[object, string]>([
    [{ concurrency: 8 }, 'concurrency'],
    [{ concurrency: { maxInFlight: 8, maxQueued: 100 } }, 'concurrency'],
    [{ maxRetryAfterMs: 60_000 }, 'maxRetryAfterMs'],
    [{ breaker: false }, 'breaker'],
    [{ retryBudget: { initial: 10 } }, 'retryBudget'],
    [{ hintSpread: { ratio: 0 } }, 'hintSpread'],
    [{ maxRetryAfterMs: undefined }, 'maxRetryAfterMs'],
  ])('refuses %j, which is gone, and says what took its place', (options, name) => {
    expect(() => steadyWith(options)).toThrow(TypeError)
    expect(() => steadyWith(options)).toThrow(
      `steady(): unknown option '${name}'; ${INSTEAD[name]}`,
    )
  })

  it('takes undefined as "use the default"', () => {
    expect(() => steadyWith({ maxAttempts: undefined, store: undefined })).not.toThrow()
  })
})

describe('what a call resolves to', () => {
  const face = { face: 'json', clientTimeoutMs: 600_000 } as const

  it('has the documented defaults', () => {
    expect(resolveCall({}, {}, face)).toMatchObject({
      maxAttempts: 3,
      maxReasks: 2,
      deadlineMs: 600_000,
      attemptTimeoutMs: 300_000,
      firstChunkTimeoutMs: 300_000,
      chunkIdleTimeoutMs: 60_000,
      maxRequests: 12,
      maxWaitMs: 90_000,
      priority: 'normal',
      fallbacks: [],
      repair: 'safe',
      onTruncated: 'fail',
      idempotency: 'given',
      ttlMs: 86_400_000,
      onUncertain: 'rerun',
      onStoreError: 'bypass',
    })
  })

  it('gives create the client timeout per attempt and at least twice that in all', () => {
    const create = { face: 'create', clientTimeoutMs: 900_000 } as const
    expect(resolveCall({}, {}, create)).toMatchObject({
      attemptTimeoutMs: 900_000,
      deadlineMs: 1_800_000,
    })
    expect(resolveCall({}, {}, { ...create, clientTimeoutMs: 20_000 })).toMatchObject({
      attemptTimeoutMs: 20_000,
      deadlineMs: 600_000,
    })
  })

  it('prefers the call over the client, and maxAttempts over maxRetries at the same place', () => {
    const retries = { ...face, clientAttempts: 6 }
    expect(resolveCall({}, {}, retries).maxAttempts).toBe(6)
    expect(resolveCall({ maxAttempts: 4 }, {}, retries).maxAttempts).toBe(4)
    expect(
      resolveCall({ maxAttempts: 4 }, {}, { ...retries, requestAttempts: 1 }).maxAttempts,
    ).toBe(1)
    expect(
      resolveCall({}, { maxAttempts: 2 }, { ...retries, requestAttempts: 1 }).maxAttempts,
    ).toBe(2)
  })

  it('allows as many requests as attempts where either number is set, unless told otherwise', () => {
    expect(resolveCall({ maxAttempts: 4 }, {}, face).maxRequests).toBe(4)
    expect(resolveCall({}, { maxAttempts: 2 }, face).maxRequests).toBe(2)
    expect(resolveCall({}, {}, { ...face, clientAttempts: 6 }).maxRequests).toBe(6)
    expect(resolveCall({}, {}, { ...face, requestAttempts: 1 }).maxRequests).toBe(1)
    expect(resolveCall({ maxAttempts: 4, maxRequests: 20 }, {}, face)).toMatchObject({
      maxAttempts: 4,
      maxRequests: 20,
    })
    expect(resolveCall({}, {}, { ...face, face: 'guard' })).toMatchObject({
      maxAttempts: 1,
      maxRequests: 1,
    })
  })

  it('takes maxRequests only from where the attempts are decided, or from a nearer place', () => {
    const requests = (ofClient: CallOptions, call: CallOptions, given: Partial<CallFace> = {}) =>
      resolveCall(ofClient, call, { ...face, ...given }).maxRequests
    // The request's maxRetries is nearer than the client's maxRequests, and bounds all of its requests.
    expect(requests({ maxRequests: 20 }, {}, { requestAttempts: 1 })).toBe(1)
    expect(requests({ maxRequests: 20, maxAttempts: 5 }, {}, { requestAttempts: 3 })).toBe(3)
    expect(requests({ maxRequests: 20 }, { maxAttempts: 2 })).toBe(2)
    expect(requests({ maxRequests: 20 }, { maxRequests: 7 }, { requestAttempts: 1 })).toBe(7)
    expect(requests({ maxRequests: 20 }, { maxAttempts: 2, maxRequests: 7 })).toBe(7)
    expect(requests({}, { maxRequests: 7 }, { clientAttempts: 1 })).toBe(7)
    // ours before openai's at the same place
    expect(requests({ maxRequests: 20 }, {}, { clientAttempts: 1 })).toBe(20)
    expect(requests({ maxRequests: 20 }, {})).toBe(20)
    expect(requests({ maxRequests: 20 }, { deadlineMs: 5_000 })).toBe(20)
  })

  it('waits as long as a pipeline does, or as a person who calls create', () => {
    const create = { face: 'create', clientTimeoutMs: 600_000 } as const
    const patience = (given: Partial<CallFace>, call = {}) => {
      const { maxWaitMs, maxHintMs } = resolveCall({}, call, { ...create, ...given })
      return [maxWaitMs, maxHintMs]
    }
    expect(patience({ face: 'json' })).toEqual([90_000, 90_000])
    expect(patience({ face: 'run' })).toEqual([90_000, 90_000])
    expect(patience({})).toEqual([20_000, 60_000])
    expect(patience({ clientTimeoutMs: 30_000, setsTimeout: true })).toEqual([20_000, 30_000])
    expect(patience({ clientTimeoutMs: 5_000, setsTimeout: true })).toEqual([5_000, 5_000])
    // The SDK's own default says nothing of how long anybody would wait.
    expect(patience({ clientTimeoutMs: 5_000 })).toEqual([20_000, 60_000])
    expect(patience({ requestAttempts: 1 })).toEqual([0, 0])
    expect(patience({ clientAttempts: 1 })).toEqual([0, 0])
    expect(patience({ clientAttempts: 1, requestAttempts: 3 })).toEqual([20_000, 60_000])
    expect(patience({ clientAttempts: 1 }, { maxWaitMs: 7_000 })).toEqual([7_000, 7_000])
    expect(patience({ setsTimeout: true, clientTimeoutMs: 5 }, { maxWaitMs: 7_000 })).toEqual([
      7_000, 7_000,
    ])
  })

  it("takes openai's switched-off retries for impatience only where they decide the attempts", () => {
    const create = { face: 'create', clientTimeoutMs: 600_000 } as const
    const maxWaitMs = (ofClient: CallOptions, call: CallOptions, given: Partial<CallFace>) =>
      resolveCall(ofClient, call, { ...create, ...given }).maxWaitMs
    expect(maxWaitMs({ maxAttempts: 3 }, {}, { clientAttempts: 1 })).toBe(20_000)
    expect(maxWaitMs({}, { maxAttempts: 3 }, { clientAttempts: 1 })).toBe(20_000)
    expect(maxWaitMs({}, { maxAttempts: 3 }, { requestAttempts: 1 })).toBe(20_000)
    expect(maxWaitMs({ maxAttempts: 3 }, {}, { requestAttempts: 1 })).toBe(0)
    expect(maxWaitMs({ maxAttempts: 3 }, {}, { requestAttempts: 1, clientAttempts: 4 })).toBe(0)
    expect(maxWaitMs({}, {}, { requestAttempts: 2, clientAttempts: 1 })).toBe(20_000)
  })

  it('fails a keyed side effect whose outcome is unknown, and a keyed call whose store is down', () => {
    const keyed = { idempotencyKey: 'order-1' }
    expect(resolveCall({}, keyed, { ...face, face: 'run' }).onUncertain).toBe('fail')
    expect(resolveCall({}, {}, { ...face, face: 'run' }).onUncertain).toBe('rerun')
    expect(resolveCall({}, keyed, face)).toMatchObject({
      onUncertain: 'rerun',
      onStoreError: 'fail',
    })
  })
})

describe('options of one call', () => {
  const llm = steady(client)
  const request = { model: 'm', messages: [], schema: { type: 'object' as const } }

  it('are refused by name before any request', async () => {
    const options: object = { deadlineMS: 5 }
    await expect(llm.json(request, options)).rejects.toThrow(
      "json(): unknown option 'deadlineMS'; did you mean 'deadlineMs'?",
    )
    await expect(llm.run('x', () => 1, options)).rejects.toThrow('run(): unknown option')
    await expect(
      llm.chat.completions.create({ model: 'm', messages: [] }, { steady: options }),
    ).rejects.toThrow('create(): steady: unknown option')
  })

  it('are refused by name where requestOptions is misspelt', async () => {
    await expect(llm.json(request, { requestOption: {} } as object)).rejects.toThrow(
      "json(): unknown option 'requestOption'; did you mean 'requestOptions'?",
    )
  })

  it('name a key that is too long without repeating it', async () => {
    const idempotencyKey = 'k'.repeat(256)
    await expect(llm.json(request, { idempotencyKey })).rejects.toThrow(
      'json(): idempotencyKey must be a string of 1 to 255 characters, got a string of 256',
    )
  })

  it('need a payload where run() is given a key', async () => {
    await expect(llm.run('x', () => 1, { idempotencyKey: 'k' })).rejects.toThrow(
      'run(): payload must be given',
    )
  })
})

describe('parameters of json()', () => {
  const llm = steady(client)
  const good = { model: 'm', messages: [], schema: { type: 'object' } }

  it.each([
    [{ ...good, n: 2 }, 'json(): n must be 1 or left out, got 2'],
    [{ ...good, stream: true }, 'json(): stream must be left out'],
    [{ ...good, response_format: { type: 'text' } }, 'json(): response_format must be left out'],
    [{ ...good, tools: [] }, "json(): tools must be left out, or tool_choice be 'none'"],
    [{ ...good, model: undefined }, 'json(): model must be the name of a model'],
    [{ ...good, messages: 'hi' }, 'json(): messages must be an array'],
    [{ model: 'm', messages: [] }, 'json(): schema must be a JSON Schema or a Standard Schema'],
    [{ ...good, schema: { type: 'objekt' } }, 'schema'],
    [{ ...good, schema: { $ref: '#/$defs/missing' } }, 'schema'],
    [undefined, 'json(): params must be an object'],
  ])('refuses %j before any request', async (params, message) => {
    // as untyped JavaScript would call it
    const json: (params: unknown) => Promise<unknown> = llm.json as never
    await expect(json(params)).rejects.toThrow(message)
    await expect(json(params)).rejects.toThrow(TypeError)
  })
})

describe('a client that is none', () => {
  it.each([
    [undefined, ', got undefined. Pass new OpenAI().'],
    [null, ', got null. Pass new OpenAI().'],
    ['sk-test', ', got string. Pass new OpenAI().'],
    [OpenAI, ', got the class or function OpenAI. Pass an instance: new OpenAI().'],
    [openaiModule, ', got the module. Pass an instance of its class: new OpenAI().'],
    [Promise.resolve(client), ', got a promise. Await it first.'],
    [client.chat, ', got its chat. Pass the client itself.'],
    [
      client.chat.completions,
      ', got something with a create(). Pass the client itself, not its chat.completions.',
    ],
    [
      {},
      ': chat.completions.create is missing (got an object of class Object). A double needs no more than that method: { chat: { completions: { create } } }.',
    ],
    [
      { chat: { completions: { create: {} } } },
      ': chat.completions.create is no function, it is object (got an object of class Object). A double needs no more than that method: { chat: { completions: { create } } }.',
    ],
    [
      Object.create(null),
      ': chat.completions.create is missing (got an object of class without a name). A double needs no more than that method: { chat: { completions: { create } } }.',
    ],
    [
      new Proxy(client, {
        get() {
          throw new Error('not to be read')
        },
      }),
      ': chat.completions.create is missing (got an object of class without a name). A double needs no more than that method: { chat: { completions: { create } } }.',
    ],
  ])('%# is refused with what was given and the way out', (wrong, message) => {
    const refused = () => steady(wrong as never)
    expect(refused).toThrow(TypeError)
    expect(refused).toThrow(`steady(): client must be an openai client${message}`)
  })

  it('is refused as a fallback too', () => {
    const fallbacks: never[] = [{ client: {} } as never]
    expect(() => steady(client, { fallbacks })).toThrow('steady(): fallbacks[0].client must be')
  })
})

describe('options of runIdempotent()', () => {
  const good = { store: memoryStore(), operation: 'create-ticket', payload: { id: 1 } }

  it.each([
    [{ ...good, store: undefined }, 'runIdempotent(): store is missing; it must be a Store'],
    [{ ...good, operation: '' }, 'runIdempotent(): operation must be a string of 1 to 255'],
    [{ ...good, payload: undefined }, 'runIdempotent(): payload is missing'],
    [{ ...good, maxReasks: 1 }, "runIdempotent(): unknown option 'maxReasks'"],
    [
      { ...good, deadlineMS: 1 },
      "runIdempotent(): unknown option 'deadlineMS'; did you mean 'deadlineMs'?",
    ],
  ])('%# are refused by name', async (options, message) => {
    await expect(runIdempotent(options as never, () => 1)).rejects.toThrow(message)
  })
})
