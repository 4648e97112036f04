import type OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import {
  type CallOptions,
  createRuntime,
  deriveKey,
  memoryStore,
  resolveIdempotent,
  retry,
  runIdempotent,
  type SteadyClient,
  type SteadyOptions,
  steady,
} from '../../src/index.ts'
import { ask, clientFor, person, rejection, setUp, startServer } from '../support/set-up.ts'

const HALF = 'order \ud83d'
const store = memoryStore()
const guarded = { store, operation: 'ticket', payload: 1, idempotencyKey: 'k' }

type Call = (llm: SteadyClient<OpenAI>) => PromiseLike<unknown>

const keyed: CallOptions = { idempotencyKey: HALF, payload: 1 }

const cases: readonly (readonly [string, string, Call])[] = [
  [
    'create',
    'create(): steady: idempotencyKey',
    (llm) => llm.chat.completions.create(ask('hi'), { steady: keyed }),
  ],
  ['json', 'json(): idempotencyKey', (llm) => llm.json({ ...ask('hi'), schema: person }, keyed)],
  ['run', 'run(): idempotencyKey', (llm) => llm.run('work', () => 1, keyed)],
  ['the name of a run', 'run(): name', (llm) => llm.run(HALF, () => 1)],
  ['the name of a retry', 'retry(): name', () => retry(() => 1, { name: HALF })],
  [
    'runIdempotent',
    'runIdempotent(): idempotencyKey',
    () => runIdempotent({ ...guarded, idempotencyKey: HALF }, () => 1),
  ],
  [
    'an operation',
    'runIdempotent(): operation',
    () => runIdempotent({ ...guarded, operation: HALF }, () => 1),
  ],
  [
    'a tenant of one call',
    'runIdempotent(): tenant',
    () => runIdempotent({ ...guarded, tenant: HALF }, () => 1),
  ],
  [
    'a secret of one call',
    'runIdempotent(): keySecret',
    () => runIdempotent({ ...guarded, keySecret: HALF }, () => 1),
  ],
  [
    'an operator’s key',
    'resolveIdempotent(): idempotencyKey',
    () => resolveIdempotent({ store, operation: 'ticket', idempotencyKey: HALF }, 'rerun'),
  ],
]

describe('half a character in an option', () => {
  it.each(cases)('is refused by its name, and not shown: %s', async (_, option, call) => {
    const { llm, server } = await setUp()
    const error = await rejection(call(llm))
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toBe(
      `TypeError: ${option} must be a string of 1 to ${option.includes('Secret') ? 4096 : 255} characters, ` +
        'got one with a lone surrogate: half a character, as a cut through an emoji leaves it',
    )
    expect(server.count).toBe(0)
  })

  it.each<[string, SteadyOptions]>([
    ['tenant', { tenant: HALF }],
    ['keySecret', { keySecret: HALF }],
  ])('is refused when the client is wrapped: %s', async (name, options) => {
    const client = clientFor(await startServer())
    const wrap = () => steady(client, { runtime: createRuntime(), ...options })
    expect(wrap).toThrow(TypeError)
    expect(wrap).toThrow(`steady(): ${name} must be a string of 1 to`)
    expect(wrap).not.toThrow('order')
  })

  it.each<[string, () => unknown]>([
    ['operation', () => deriveKey(HALF, 1)],
    ['tenant', () => deriveKey('chat', 1, { tenant: HALF })],
    ['keySecret', () => deriveKey('chat', 1, { keySecret: HALF })],
  ])('is refused where a key is derived by hand: %s', (name, derive) => {
    expect(derive).toThrow(TypeError)
    expect(derive).toThrow(`${name} must be a non-empty string of whole characters`)
  })

  it('is no whole emoji', async () => {
    const { llm } = await setUp({}, { tenant: 'Ölmühle 🫒', keySecret: '🗝️' })
    const options = { idempotencyKey: 'order 🛒', payload: 1 }
    await expect(llm.run('wörk 🔨', () => 1, options)).resolves.toBe(1)
  })
})

describe('half a character in what a key stands for', () => {
  it('is hashed as JSON writes it: equal texts are equal, others are not', async () => {
    const work = (payload: unknown, idempotencyKey: string) =>
      runIdempotent({ ...guarded, payload, idempotencyKey }, () => 'done')
    await expect(work({ text: HALF }, 'half')).resolves.toBe('done')
    await expect(work({ text: HALF }, 'half')).resolves.toBe('done')
    for (const other of ['order \ud83c', 'order \\ud83d', 'order �']) {
      expect(await rejection(work({ text: other }, 'half'))).toMatchObject({
        kind: 'idempotency_mismatch',
      })
    }
    const derived = new Set(
      [HALF, 'order \ud83c', 'order \\ud83d', 'order �'].map((text) => deriveKey('o', text)),
    )
    expect(derived.size).toBe(4)
  })
})
