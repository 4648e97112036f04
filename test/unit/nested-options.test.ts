import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { memoryStore, resolveIdempotent, runIdempotent, steady } from '../../src/index.ts'

const client = new OpenAI({ apiKey: 'test', baseURL: 'http://127.0.0.1:1/v1' })
const key = 'K'.repeat(43).concat('=')

function refusedBySteady(options: object): string {
  try {
    steady(client, options)
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    return error instanceof Error ? error.message : 'no error'
  }
  return 'accepted'
}

// One row per option: what is given, and the whole message.
const UNKNOWN: readonly [object, string][] = [
  [
    { limits: { requestPerMinute: 3 } },
    "unknown option 'limits.requestPerMinute', got 3; did you mean 'requestsPerMinute'? (known are concurrency, requestsPerMinute, tokensPerMinute)",
  ],
  [
    { limits: { concurency: 3 } },
    "unknown option 'limits.concurency', got 3; did you mean 'concurrency'? (known are concurrency, requestsPerMinute, tokensPerMinute)",
  ],
  [
    { gateway: { name: 'litellm', fallback: 'keep' } },
    "unknown option 'gateway.fallback', got a string of 4; did you mean 'fallbacks'? (known are name and fallbacks)",
  ],
  [
    { limits: { maxInFlight: 5 } },
    "unknown option 'limits.maxInFlight', got 5; known are concurrency, requestsPerMinute, tokensPerMinute",
  ],
  [
    { hedge: { delay: 5 } },
    "unknown option 'hedge.delay', got 5; did you mean 'delayMs'? (known are delayMs and maxExtraLoad)",
  ],
  [
    { telemetry: { capture: true } },
    "unknown option 'telemetry.capture', got true; did you mean 'captureContent'? (known are captureContent, redact, propagateTraceparent)",
  ],
  [
    { fallbacks: [{ model: 'a' }, { modle: 'm' }] },
    "unknown option 'fallbacks[1].modle', got a string of 1; did you mean 'model'? (known are model, client, on)",
  ],
  [
    { encryption: { keys: { a: key }, use: 'a', acceptPlane: true } },
    "unknown option 'encryption.acceptPlane', got true; did you mean 'acceptPlain'? (known are keys, use, acceptPlain)",
  ],
]

const WRONG_TYPE: readonly [object, string][] = [
  [
    { limits: { tokensPerMinute: '3' } },
    "limits.tokensPerMinute must be a finite number from 1, or left out where there is no limit, got '3'",
  ],
  [
    { limits: { requestsPerMinute: null } },
    'limits.requestsPerMinute must be a finite number from 1, or left out where there is no limit, got null',
  ],
  [
    { limits: 'none' },
    "limits must be 'auto', 'off' or { concurrency?, requestsPerMinute?, tokensPerMinute? } with numbers from 1, concurrency whole, got 'none'",
  ],
  [{ hedge: { maxExtraLoad: true } }, 'hedge.maxExtraLoad must be a number from 0 to 1, got true'],
  [
    { limits: { concurrency: {} } },
    'limits.concurrency must be an integer from 1, or left out where there is no limit, got an object',
  ],
  [
    { telemetry: { captureContent: 'yes' } },
    "telemetry.captureContent must be true or false, got 'yes'",
  ],
  [{ telemetry: { redact: /secret/ } }, 'telemetry.redact must be a function, got an object'],
  [
    { fallbacks: { model: 'm' } },
    'fallbacks must be an array of { model?, client?, on? } with a model or a client in each, got an object',
  ],
  [
    { fallbacks: [{ model: 'm', on: { kind: 'timeout' } }] },
    "fallbacks[0].on must be an array of failure kinds, such as ['overloaded'], got an object",
  ],
  [
    { fallbacks: ['gpt'] },
    "fallbacks[0] must be { model?, client?, on? } with a model or a client, got 'gpt'",
  ],
  [
    { fallbacks: [{ on: ['timeout'] }] },
    'fallbacks[0] must be { model?, client?, on? } with a model or a client, got one with neither',
  ],
  [{ fallbacks: [{ model: 7 }] }, 'fallbacks[0].model must be the name of a model, got 7'],
  [
    { fallbacks: [{ model: 'm', on: 'timeout' }] },
    "fallbacks[0].on must be an array of failure kinds, such as ['overloaded'], got 'timeout'",
  ],
  [
    { encryption: { keys: 'x', use: 'a' } },
    'encryption.keys must be an object of keys by their ids, of 1 to 64 letters, digits, _, . or -, with one at least, got a string of 1',
  ],
  [
    { backoff: { delay: () => 1 } },
    'backoff must be a backoff such as fullJitter(), got an object without delayMs()',
  ],
  [
    { store: Promise.resolve(memoryStore()) },
    'store must be a Store such as memoryStore(), got a promise: await it first',
  ],
  [
    { store: memoryStore },
    'store must be a Store such as memoryStore(), got a function: pass what it returns',
  ],
]

const OUT_OF_RANGE: readonly [object, string][] = [
  [
    { limits: { requestsPerMinute: -1 } },
    'limits.requestsPerMinute must be a finite number from 1, or left out where there is no limit, got -1',
  ],
  [
    { limits: { tokensPerMinute: NaN } },
    'limits.tokensPerMinute must be a finite number from 1, or left out where there is no limit, got NaN',
  ],
  ...['requestsPerMinute', 'tokensPerMinute'].map((name): [object, string] => [
    { limits: { [name]: Infinity } },
    `limits.${name} must be a finite number from 1, or left out where there is no limit, got Infinity`,
  ]),
  [
    { limits: { concurrency: Infinity } },
    'limits.concurrency must be an integer from 1, or left out where there is no limit, got Infinity',
  ],
  [{ hedge: { delayMs: -1 } }, 'hedge.delayMs must be a number from 0 to 2147483647, got -1'],
  [
    { limits: { concurrency: 1.5 } },
    'limits.concurrency must be an integer from 1, or left out where there is no limit, got 1.5',
  ],
  [
    { limits: { concurrency: 0 } },
    'limits.concurrency must be an integer from 1, or left out where there is no limit, got 0',
  ],
  [
    { fallbacks: [{ model: 'm', on: ['timeout', 'ratelimit'] }] },
    "fallbacks[0].on[1] must be a failure kind, such as 'overloaded', got 'ratelimit'",
  ],
  [
    { encryption: { keys: { a: key }, use: 'b' } },
    'encryption.use must be an id in encryption.keys, got another string',
  ],
]

describe('an option within an option', () => {
  it.each(UNKNOWN)(
    'unknown in %j: path, value, the known names and the near one',
    (given, said) => {
      expect(refusedBySteady(given)).toBe(`steady(): ${said}`)
    },
  )

  it.each(WRONG_TYPE)(
    'of the wrong type in %j: path, what it must be, and value',
    (given, said) => {
      expect(refusedBySteady(given)).toBe(`steady(): ${said}`)
    },
  )

  it.each(OUT_OF_RANGE)('out of range in %j: path, range and value', (given, said) => {
    expect(refusedBySteady(given)).toBe(`steady(): ${said}`)
  })

  it('is taken as the default where it is undefined', () => {
    const unset = undefined
    const options = {
      limits: { concurrency: 1, requestsPerMinute: unset },
      hedge: { delayMs: unset },
      telemetry: { redact: unset },
      fallbacks: [{ model: 'm', on: unset }],
    }
    expect(refusedBySteady(options)).toBe('accepted')
  })

  it('is named the same way where one call brings it', async () => {
    const llm = steady(client)
    const options: object = { fallbacks: [{ modle: 'm' }] }
    const asked = { model: 'm', messages: [], schema: { type: 'object' as const } }
    const said = "unknown option 'fallbacks[0].modle', got a string of 1; did you mean 'model'?"
    await expect(llm.json(asked, options)).rejects.toThrow(`json(): ${said}`)
    await expect(llm.run('x', () => 1, options)).rejects.toThrow(`run(): ${said}`)
    const create = llm.chat.completions.create({ model: 'm', messages: [] }, { steady: options })
    await expect(create).rejects.toThrow(`create(): steady: ${said}`)
  })

  it('is named the same way by the guard', async () => {
    const guard = { store: memoryStore(), operation: 'o', payload: 1, idempotencyKey: 'k' }
    const options = { ...guard, encryption: { keys: { a: key }, use: 'a', accept: true } }
    const said = "unknown option 'encryption.accept', got true; did you mean 'acceptPlain'?"
    await expect(runIdempotent(options, () => 1)).rejects.toThrow(`runIdempotent(): ${said}`)
    const { payload: _, ...keyed } = options
    await expect(resolveIdempotent(keyed, 'rerun')).rejects.toThrow(`resolveIdempotent(): ${said}`)
  })
})

describe('a secret that stands in the wrong place', () => {
  const secret = 'S3cr3t-'.repeat(6)

  it.each<[string, object]>([
    ['as a key that is none', { encryption: { keys: { a: secret }, use: 'a' } }],
    ['as the id of a key', { encryption: { keys: { [secret]: 'a' }, use: 'a' } }],
    ['as the key in use', { encryption: { keys: { a: key }, use: secret.slice(0, 32) } }],
    ['as all of the keys', { encryption: { keys: secret, use: 'a' } }],
    ['as the whole option', { encryption: secret.slice(0, 32) }],
    ['under an unknown name', { encryption: { key: secret.slice(0, 32), use: 'a' } }],
    ['as an unknown name', { telemetry: { [secret]: true } }],
  ])('%s is not repeated', (_, options) => {
    const said = refusedBySteady(options)
    expect(said).toMatch(/^steady\(\): .*(encryption|telemetry)/)
    expect(said).not.toContain('S3cr3t-S')
  })
})
