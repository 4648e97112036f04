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

  it.each<[string, unknown, string]>([
    ['a function', () => 'secret', '/metadata/x'],
    ['a symbol', Symbol('secret'), '/metadata/x'],
    ['a BigInt', 1n, '/metadata/x'],
    ['NaN', Number.NaN, '/metadata/x'],
    ['undefined in an array', [undefined], '/metadata/x/0'],
    ['a lone surrogate', '\ud800', '/metadata/x'],
    ['an integer beyond 2^53', 2 ** 53, '/metadata/x'],
    ['a Map', new Map(), '/metadata/x'],
    ['a class instance', new (class Secret {})(), '/metadata/x'],
    ['an invalid Date', new Date(Number.NaN), '/metadata/x'],
  ])(
    'is refused with %s in it: by its place, before a record or a request is made',
    async (_, value, place) => {
      const claims: ClaimRequest[] = []
      const { llm, server } = await setUp(ada, { store: watching(claims) })
      const metadata = { x: value } as never
      for (const options of [{ idempotencyKey: 'k' }, { idempotency: 'derive' }] as const) {
        const errors = [
          await rejection(
            llm.chat.completions.create({ ...ask('who?'), metadata }, { steady: options }),
          ),
          await rejection(llm.json({ ...ask('who?'), metadata, schema: person }, options)),
        ]
        for (const error of errors) {
          expect(error).toBeInstanceOf(TypeError)
          expect(String(error)).toContain(` at ${place} `)
          expect(String(error)).not.toContain('secret')
        }
      }
      expect([server.count, claims]).toEqual([0, []])
    },
  )
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
