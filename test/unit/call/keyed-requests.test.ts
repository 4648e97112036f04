import { describe, expect, it } from 'vitest'
import {
  type ClaimRequest,
  callReport,
  deriveKey,
  memoryStore,
  type Store,
} from '../../../src/index.ts'
import { ask, person, rejection, setUp } from '../../support/set-up.ts'

const ada = { answer: '{"name":"Ada","age":36}' }

describe('the request that a key stands for', () => {
  it.each([
    ['a key that was given', { idempotencyKey: 'k' }],
    ['a derived key', { idempotency: 'derive', occurrence: 0 }],
    ['a derived key beside a payload', { idempotency: 'derive', payload: 1, occurrence: 0 }],
  ] as const)('is the one that is sent, whatever becomes of it later: %s', async (_, options) => {
    const { llm, server } = await setUp(ada)
    const part = { type: 'text' as const, text: 'who?' }
    const request = () => ({ ...ask(''), messages: [{ role: 'user' as const, content: [part] }] })
    const first = llm.chat.completions.create(request(), { steady: options })
    const asked = first.then((completion) => completion)
    part.text = 'something else'
    await asked
    expect(server.requests[0]?.body?.messages[0]?.content).toEqual([{ type: 'text', text: 'who?' }])
    part.text = 'who?'
    await llm.chat.completions.create(request(), { steady: options })
    expect(server.count).toBe(1)
  })

  it('goes out as JSON.stringify writes it, in the order it was given', async () => {
    const { llm, server } = await setUp(ada)
    class Content {
      readonly #text = 'who?'
      toJSON(): string {
        return this.#text
      }
    }
    const metadata = { zebra: '1', at: new Date(0), apple: undefined }
    const content = new Content()
    // Values that JSON can express although openai's types do not.
    const request = { ...ask(''), messages: [{ role: 'user', content }], metadata } as never
    await llm.chat.completions.create(request, { steady: { idempotencyKey: 'k' } })
    const { body } = server.requests[0] ?? {}
    expect(body?.messages[0]?.content).toBe('who?')
    expect(JSON.stringify(body?.['metadata'])).toBe('{"zebra":"1","at":"1970-01-01T00:00:00.000Z"}')
  })

  it.each<[string, unknown, unknown]>([
    ['a function', () => 'secret', undefined],
    ['a symbol', Symbol('secret'), undefined],
    ['NaN', Number.NaN, null],
    ['undefined in an array', [undefined], [null]],
    ['a lone surrogate', 'cut \ud83d', 'cut \ud83d'],
    ['an integer beyond 2^53', 2 ** 53, 2 ** 53],
    ['a Map', new Map([['a', 1]]), {}],
    [
      'an instance of a class',
      new (class Point {
        readonly x = 1
      })(),
      { x: 1 },
    ],
    ['an invalid Date', new Date(Number.NaN), null],
    ['a text in an object', Object('boxed'), 'boxed'],
    ['a hidden toJSON', Object.defineProperty({}, 'toJSON', { value: () => 'said' }), 'said'],
  ])('is the JSON that is sent, with %s in it', async (_, value, sent) => {
    for (const options of [
      { idempotencyKey: 'k' },
      { idempotency: 'derive', occurrence: 0 },
    ] as const) {
      const { llm, server } = await setUp(ada)
      const asked = { ...ask('who?'), metadata: { x: value } as never }
      const said = { ...ask('who?'), metadata: { x: sent } as never }
      await llm.chat.completions.create(asked, { steady: options })
      expect(Reflect.get(Object(server.requests[0]?.body?.['metadata']), 'x')).toEqual(sent)
      // What is the same on the wire is the same request.
      await llm.chat.completions.create(said, { steady: options })
      await llm.chat.completions.create(asked, { steady: options })
      expect(server.count).toBe(1)
    }
  })

  it('is refused by JSON itself where there is none, before a record or a request is made', async () => {
    const claims: ClaimRequest[] = []
    const { llm, server } = await setUp(ada, { store: watching(claims) })
    const metadata = { x: 1n } as never
    for (const options of [{ idempotencyKey: 'k' }, { idempotency: 'derive' }] as const) {
      const calls = [
        llm.chat.completions.create({ ...ask('who?'), metadata }, { steady: options }),
        llm.json({ ...ask('who?'), metadata, schema: person }, options),
      ]
      for (const call of calls) {
        const error = await rejection(call)
        expect(error).toBeInstanceOf(TypeError)
        expect(String(error)).toContain('serialize a BigInt')
      }
    }
    expect([server.count, claims]).toEqual([0, []])
  })
})

describe('keySecret', () => {
  it('makes HMACs of the stored key, of the fingerprint and of a derived key', async () => {
    const claims: ClaimRequest[] = []
    const texts: string[] = []
    const request = { ...ask('a prompt that can be guessed'), temperature: 0 }
    for (const space of [{}, { keySecret: 'one' }, { keySecret: 'two' }]) {
      const { llm } = await setUp(ada, { ...space, store: watching(claims) })
      await llm.chat.completions.create(request, { steady: { idempotencyKey: 'k' } })
      const derived = { steady: { idempotency: 'derive' } } as const
      const completion = await llm.chat.completions.create(request, derived)
      texts.push(callReport(completion)?.idempotencyKey ?? '')
    }
    const [given, ...others] = claims.filter((_, index) => index % 2 === 0)
    for (const other of others) {
      expect(other.key).not.toBe(given?.key)
      expect(other.fingerprint).not.toBe(given?.fingerprint)
    }
    expect(new Set(claims.map(({ key }) => key)).size).toBe(6)
    expect(new Set(claims.map(({ fingerprint }) => fingerprint)).size).toBe(3)
    // It is shown to the caller and to his events: without the secret nobody can confirm a guess.
    expect(new Set(texts).size).toBe(3)
    const guess = deriveKey('chat', [request, 0])
    expect(texts.map((text) => text === guess)).toEqual([true, false, false])
    expect(texts[1]).toBe(deriveKey('chat', [request, 0], { keySecret: 'one' }))
  })
})

function watching(claims: ClaimRequest[]): Store {
  const store = memoryStore()
  return {
    ...store,
    claim: (request) => {
      claims.push(request)
      return store.claim(request)
    },
  }
}
