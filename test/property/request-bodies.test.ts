import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import OpenAI from 'openai'
import OpenAIv6 from 'openai-v6'
import { describe, expect, it } from 'vitest'
import { createRuntime, fixed, steady } from '../../src/index.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'
import { startRawServer } from '../support/raw-server.ts'

/** Makes the same value anew, since some say something else each time they are asked. */
type Recipe = () => unknown

class Speaking {
  readonly #said: unknown
  constructor(said: unknown) {
    this.#said = said
  }
  toJSON(): unknown {
    return this.#said
  }
}

class Plain {
  readonly shown: unknown
  readonly #hidden = 'hidden'
  constructor(shown: unknown) {
    this.shown = shown
  }
  get inherited(): string {
    return this.#hidden
  }
}

class List extends Array<unknown> {}

const hidden = (object: object, name: PropertyKey, said: unknown) =>
  Object.defineProperty(object, name, { value: said })

const oddLeaves: readonly Recipe[] = [
  () => undefined,
  () => Number.NaN,
  () => Number.NEGATIVE_INFINITY,
  () => -0,
  () => 2 ** 60,
  () => 'cut \ud83d',
  () => () => 'a function',
  () => Symbol('s'),
  () => new Date(86_400_000),
  () => new Date(Number.NaN),
  () => new URL('https://example.com/a?b#c'),
  () => new Map([['a', 1]]),
  () => new Set([1]),
  () => /x/g,
  () => new Error('shown by nobody'),
  () => Buffer.from('bytes'),
  () => new Uint8Array([1, 2]),
  () => Object('boxed'),
  () => Object(7),
  () => Object(false),
  // biome-ignore lint/suspicious/noSparseArray: the hole is the case
  () => [1, , 2],
  () => JSON.parse('{"__proto__":{"a":1},"constructor":2,"2":"b","1":"a"}'),
  () => Reflect.apply(Reflect.get(JSON, 'rawJSON'), JSON, ['12345678901234567890']),
  () => runInNewContext('({ other: [1, { realm: new Date(0) }] })'),
  () => Object.assign(() => 'a function', { toJSON: () => 'a function that speaks' }),
  () => {
    let times = 0
    return { toJSON: () => ++times }
  },
  () => ({ toJSON: 'no function' }),
]

/** What hooks and wrappings there are, around a value within. */
const wrappings: readonly ((inner: Recipe) => Recipe)[] = [
  (inner) => () => new Speaking(inner()),
  (inner) => () => new Plain(inner()),
  (inner) => () => hidden({ dropped: 1 }, 'toJSON', inner),
  (inner) => () => hidden({ kept: inner() }, 'unseen', 1),
  (inner) => () => hidden([inner()], 'toJSON', () => inner()),
  (inner) => () => ({ kept: inner(), [Symbol('toJSON')]: () => 'never asked' }),
  (inner) => () => Object.freeze({ frozen: inner() }),
  (inner) => () => Object.assign(Object.create(null), { bare: inner() }),
  (inner) => () => Object.assign(Object.create({ toJSON: () => [inner()] }), { dropped: 1 }),
  (inner) => () => Object.assign(Object.create({ notOwn: 1 }), { own: inner() }),
  (inner) => () => new Proxy({ through: inner() }, {}),
  (inner) => () => new Proxy([inner()], {}),
  (inner) => () =>
    new Proxy({ real: 1 }, { get: (_, name) => (name === 'real' ? inner() : undefined) }),
  (inner) => () => List.from([inner()]),
  (inner) => () => ({
    get asked() {
      return inner()
    },
  }),
  (inner) => () => ({ toJSON: (key: string) => ({ key, said: inner() }) }),
]

const { value } = fc.letrec<{ value: Recipe }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom(...oddLeaves),
    fc.jsonValue().map((json) => () => structuredClone(json)),
    fc.string({ unit: 'binary' }).map((text) => () => text),
    fc.tuple(fc.constantFrom(...wrappings), tie('value')).map(([wrap, inner]) => wrap(inner)),
    fc.array(tie('value'), { maxLength: 3 }).map((items) => () => items.map((make) => make())),
    fc
      .dictionary(fc.string({ unit: 'binary', maxLength: 3 }), tie('value'), { maxKeys: 3 })
      .map((members) => () => {
        const entries = Object.entries(members).map(([name, make]) => [name, make()] as const)
        return Object.fromEntries(entries)
      }),
  ),
}))

type Root = (make: Recipe) => object

const roots: readonly Root[] = [
  (make) => ({ model: 'm', messages: [{ role: 'user', content: make() }] }),
  (make) => ({ model: 'm', messages: [make()], tools: make(), stream: false }),
  (make) => ({ model: 'm', messages: make(), user: undefined, response_format: make() }),
  (make) => Object.assign(Object.create(null), { model: 'm', messages: [], metadata: make() }),
  (make) => hidden({ model: 'other' }, 'toJSON', () => ({ messages: [make()], model: 'm', n: 1 })),
  (make) => new Proxy({ model: 'm', messages: [make()] }, {}),
]

describe('the body of a request', () => {
  it.each([
    ['openai 7', OpenAI],
    ['openai 6', OpenAIv6],
  ] as const)('is the bare client’s, byte for byte, in every attempt: %s', async (_, Client) => {
    const server = await startRawServer()
    const settings = { apiKey: 'sk-test', baseURL: server.baseURL, maxRetries: 0 }
    // Of both majors, as the first: what is compared is what they send.
    const bare = new Client(settings) as OpenAI
    const kept = {
      runtime: createRuntime({ random: () => 0 }),
      limits: 'off',
      backoff: fixed(0),
    } as const
    const llm = steady(new Client(settings), kept)
    await fc.assert(
      fc.asyncProperty(
        value,
        fc.constantFrom(...roots),
        fc.boolean(),
        async (make, root, keyed) => {
          server.bodies.length = 0
          await bare.chat.completions.create(root(make) as never)
          server.failures = 2
          await llm.chat.completions.create(root(make) as never, {
            steady: { maxAttempts: 3, ...(keyed && { idempotencyKey: crypto.randomUUID() }) },
          })
          const [expected] = server.bodies
          expect(server.bodies).toEqual([expected, expected, expected, expected])
        },
      ),
      { numRuns: fuzzRuns(100) },
    )
  })
})
