import { expect, it } from 'vitest'
import { memoryStore, runIdempotent, type SteadyOptions, type Store } from '../../src/index.ts'
import { contextLength, ok } from '../../src/testing/index.ts'
import { ask, person, rejection, setUp } from '../support/set-up.ts'
import { chunksOf } from '../support/streams.ts'

const SECRETS: SteadyOptions = {
  tenant: 'canary-tenant',
  keySecret: 'canary-secret-canary-secret-canary',
  encryption: { use: 'a', keys: { a: new Uint8Array(32).fill(7) } },
}
const key = 'canary-key'

it('nothing of prompt, answer, key, tenant or secret reaches a store, by any way', async () => {
  const { store, told } = listening()
  const answer = '{"name":"Ada Canary","age":36}'
  const { llm } = await setUp(
    { answer, script: [ok(), ok(), ok(), contextLength()] },
    { store, ...SECRETS },
  )
  const steady = { idempotencyKey: key }
  await llm.json({ ...ask('canary'), schema: person }, steady)
  await llm.json({ ...ask('canary'), schema: person }, steady)
  await llm.chat.completions.create(ask('canary'), { steady: { idempotency: 'derive' } })
  await chunksOf(
    llm.chat.completions.create(
      { ...ask('canary'), stream: true },
      { steady: { idempotencyKey: `${key}-stream` } },
    ),
  )
  await rejection(
    llm.json({ ...ask('canary refused'), schema: person }, { idempotencyKey: `${key}-2` }),
  )
  await llm.run('embed', async () => 'canary', { ...steady, payload: 'canary' })
  await rejection(
    llm.run('embed', () => Promise.reject(new Error('canary')), {
      idempotencyKey: `${key}-3`,
      payload: 'canary',
    }),
  )
  await runIdempotent({ store, operation: 'mail', payload: 'canary', ...steady, ...SECRETS }, () =>
    Promise.resolve('canary'),
  )
  expect(told.map(([verb]) => verb)).toEqual(expect.arrayContaining(['complete', 'markUncertain']))
  expect(JSON.stringify(told).toLowerCase()).not.toContain('canary')
  expect(JSON.stringify(told)).not.toContain(Buffer.from('canary').toString('base64').slice(0, -2))
})

/** A store, and all that it was told and has answered. */
function listening(): { readonly store: Store; readonly told: (readonly [string, unknown])[] } {
  const told: (readonly [string, unknown])[] = []
  const store = new Proxy(memoryStore(), {
    get(target, verb) {
      const value: unknown = Reflect.get(target, verb)
      if (typeof value !== 'function') return value
      return async (...given: unknown[]) => {
        told.push([String(verb), given])
        const answered: unknown = await Reflect.apply(value, target, given)
        told.push([String(verb), answered])
        return answered
      }
    },
  })
  return { store, told }
}
