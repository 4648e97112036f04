import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  createRuntime,
  type FailureKind,
  isCallError,
  memoryStore,
  type Outcome,
  resolveIdempotent,
  runIdempotent,
  type SteadyOptions,
  type Store,
  steady,
} from '../../src/index.ts'
import { slow } from '../../src/testing/index.ts'
import { ask, person, rejection, setUp } from '../support/set-up.ts'

const encryption = { keys: { k1: randomBytes(32) }, use: 'k1' }
const ada = { answer: '{"name":"Canary","age":36}' }
const keyed = { idempotencyKey: 'k' }

describe('a result that is kept under a key', () => {
  it('is encrypted in the store, and replayed to the byte', async () => {
    const kept: string[] = []
    const store = watched(memoryStore(), kept)
    const { llm, client, server } = await setUp(ada, { store, encryption })
    const first = await llm.json({ ...ask('who?'), schema: person }, keyed)
    const later = steady(client, { store, encryption, runtime: createRuntime() })
    const second = await later.json({ ...ask('who?'), schema: person }, keyed)
    expect([second.source, second.completion]).toEqual(['store', first.completion])
    expect(server.count).toBe(1)
    expect(kept).toHaveLength(1)
    expect(kept[0]).toMatch(/^1e:k1:/)
    expect(atob(kept[0]?.slice('1e:k1:'.length) ?? '')).not.toContain('Canary')
  })

  it('is compressed in the store, and the same bytes reach all who joined or came later', async () => {
    const kept: string[] = []
    const name = 'Ada Lovelace '.repeat(2_000)
    const { llm, server } = await setUp(
      { answer: JSON.stringify({ name, age: 36 }), perCall: [slow(50)] },
      { store: watched(memoryStore(), kept) },
    )
    const create = () => llm.chat.completions.create(ask('who?'), { steady: keyed })
    const completions = [...(await Promise.all([create(), create(), create()])), await create()]
    expect(new Set(completions.map((each) => JSON.stringify(each))).size).toBe(1)
    expect(server.count).toBe(1)
    expect(kept[0]).toMatch(/^1z:/)
    expect(kept[0]?.length).toBeLessThan(name.length / 20)
  })

  it('too large is returned as not persisted, shared with who waited, and never made again', async () => {
    const store = memoryStore()
    const options = { store, maxResultBytes: 1_000 }
    const { llm, server } = await setUp(
      { answer: JSON.stringify({ name: 'x'.repeat(1_000), age: 36 }), perCall: [slow(50)] },
      options,
    )
    const call = () => llm.json({ ...ask('who?'), schema: person }, keyed)
    const [own, joined] = await Promise.all([call(), call()])
    expect(own).toMatchObject({ source: 'provider', persisted: false })
    expect(joined).toMatchObject({ source: 'shared', persisted: false, value: own?.value })
    for (const onStoreError of ['fail', 'bypass'] as const) {
      const error = await rejection(
        llm.json({ ...ask('who?'), schema: person }, { ...keyed, onStoreError }),
      )
      expect(error).toMatchObject({
        kind: 'store_unavailable',
        retryable: false,
        executed: 'yes',
        source: 'store',
        idempotencyKey: 'k',
      })
      expect(String(error)).toMatch(/its \d+ bytes exceed maxResultBytes/)
    }
    expect(server.count).toBe(1)
  })

  it.each<[string, SteadyOptions, (kept: string) => string]>([
    ['tampered with', {}, (kept) => kept.replace('36', '63')],
    ['of a newer version', {}, (kept) => kept.replace('1:', '7:')],
    ['emptied', {}, () => ''],
    [
      'encrypted and tampered with',
      { encryption },
      (kept) => kept.replace(/.=*$/, (end) => (end === 'A' ? 'B' : 'A')),
    ],
    ['encrypted, and replaced by plain text', { encryption }, () => '{"choices":[]}'],
  ])('%s is an error for every caller, and no second request', async (_, options, change) => {
    const store = changing(memoryStore(), change)
    const { llm, server } = await setUp(ada, { store, ...options })
    await llm.json({ ...ask('who?'), schema: person }, keyed)
    const call = (onStoreError: 'fail' | 'bypass') =>
      rejection(llm.json({ ...ask('who?'), schema: person }, { ...keyed, onStoreError }))
    const errors = await Promise.all([call('fail'), call('fail'), call('bypass')])
    for (const error of errors) {
      expect(error).toMatchObject({
        kind: 'store_unavailable' satisfies FailureKind,
        retryable: false,
        executed: 'yes',
      })
      expect(String(error)).not.toContain('Canary')
    }
    expect(errors[0]).not.toBe(errors[1])
    expect(server.count).toBe(1)
  })

  it("moved to another key or another payload's record is an error", async () => {
    const outcomes = new Map<string, Outcome>()
    const store = memoryStore()
    const swapping: Store = {
      ...store,
      complete: (claim, outcome, ttlMs) => {
        outcomes.set(claim.key, outcome)
        const [first = outcome] = outcomes.values()
        return store.complete(claim, first, ttlMs)
      },
    }
    const { llm, server } = await setUp(ada, { store: swapping, encryption })
    for (const idempotencyKey of ['one', 'two']) {
      await llm.json({ ...ask('who?'), schema: person }, { idempotencyKey })
    }
    const again = (idempotencyKey: string) =>
      llm.json({ ...ask('who?'), schema: person }, { idempotencyKey })
    await expect(again('one')).resolves.toMatchObject({ source: 'store' })
    await expect(rejection(again('two'))).resolves.toMatchObject({ kind: 'store_unavailable' })
    expect(server.count).toBe(2)
  })

  it('stays readable while keys are rotated', async () => {
    const store = memoryStore()
    const { llm, client, server } = await setUp(ada, { store, encryption })
    const call = (of: typeof llm) => of.json({ ...ask('who?'), schema: person }, keyed)
    await call(llm)
    const keys = { ...encryption.keys, k2: randomBytes(32).toString('base64') }
    const rotated = steady(client, {
      store,
      encryption: { keys, use: 'k2' },
      runtime: createRuntime(),
    })
    await expect(call(rotated)).resolves.toMatchObject({ source: 'store' })
    const { k2 } = keys
    const done = steady(client, {
      store,
      encryption: { keys: { k2 }, use: 'k2' },
      runtime: createRuntime(),
    })
    await expect(rejection(call(done))).resolves.toMatchObject({ kind: 'store_unavailable' })
    expect(server.count).toBe(1)
  })
})

describe('runIdempotent and resolveIdempotent', () => {
  const operation = { operation: 'ticket', idempotencyKey: 'order-1' }

  it('keep results encrypted, those that are settled by hand too', async () => {
    const kept: string[] = []
    const store = watched(memoryStore(), kept)
    const guard = { store, ...operation, payload: { order: 1 }, encryption }
    const work = () => {
      throw new Error('nobody knows')
    }
    expect(await rejection(runIdempotent(guard, work))).toMatchObject({ kind: 'outcome_unknown' })
    const value = { ticket: 'Canary' }
    await expect(resolveIdempotent({ store, ...operation, encryption }, { value })).resolves.toBe(
      true,
    )
    await expect(runIdempotent(guard, () => 'never')).resolves.toEqual(value)
    expect(kept[0]).toMatch(/^1ke:k1:/)
  })

  it('refuse a value by hand that is larger than maxResultBytes, and settle nothing', async () => {
    const store = memoryStore()
    const error = await rejection(
      resolveIdempotent(
        { store, ...operation, maxResultBytes: 10 },
        { value: 'more than ten bytes' },
      ),
    )
    expect(String(error)).toBe(
      'TypeError: resolveIdempotent(): value is larger than maxResultBytes',
    )
    expect(isCallError(error)).toBe(false)
  })

  it.each([
    ['encryption', { keys: { k1: 'short' }, use: 'k1' }, 'encryption.keys'],
    ['maxResultBytes', 0, 'maxResultBytes must be an integer from 1'],
  ])('check %s at the door, and show no key', async (name, value, message) => {
    const store = memoryStore()
    const options = { store, ...operation, payload: 1, [name]: value }
    const guard = await rejection(runIdempotent(options, () => 1))
    const { payload: _, ...byHand } = options
    const hand = await rejection(resolveIdempotent(byHand, 'rerun'))
    for (const error of [guard, hand]) {
      expect(error).toBeInstanceOf(TypeError)
      expect(String(error)).toContain(message)
      expect(String(error)).not.toContain('short')
    }
  })
})

/** The same store; what it is given to keep is written down. */
function watched(store: Store, kept: string[]): Store {
  const note = (outcome: 'rerun' | Outcome) => {
    if (outcome !== 'rerun' && outcome.ok) kept.push(outcome.result)
  }
  return {
    ...store,
    complete: (claim, outcome, ttlMs) => {
      note(outcome)
      return store.complete(claim, outcome, ttlMs)
    },
    resolve: (key, verdict, ttlMs) => {
      note(verdict)
      return store.resolve(key, verdict, ttlMs)
    },
  }
}

/** A store that gives back something else than it was given. */
function changing(store: Store, change: (kept: string) => string): Store {
  return {
    ...store,
    complete: (claim, outcome, ttlMs) =>
      store.complete(
        claim,
        outcome.ok ? { ok: true, result: change(outcome.result) } : outcome,
        ttlMs,
      ),
  }
}
