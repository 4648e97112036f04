import { runInNewContext } from 'node:vm'
import { APIUserAbortError } from 'openai'
import { describe, expect, it } from 'vitest'
import { memoryStore, retry, runIdempotent, steady } from '../../../src/index.ts'
import { hangs } from '../../../src/testing/index.ts'
import { ask, person, rejection, type SetUp, setUp } from '../../support/set-up.ts'

interface Foreign {
  readonly signal: AbortSignal
  abort(): void
  /** How often somebody asked to be told. */
  readonly listeners: () => number
}

/** What the packages before Node had its own were: an event target, `aborted`, and no more. */
function polyfill(): Foreign {
  const told = new Set<(event: object) => void>()
  let asked = 0
  const signal = {
    aborted: false,
    addEventListener(type: string, listener: (event: object) => void) {
      if (type !== 'abort') return
      asked++
      told.add(listener)
    },
    removeEventListener(_: string, listener: (event: object) => void) {
      told.delete(listener)
    },
  }
  const abort = () => {
    signal.aborted = true
    for (const listener of told) listener.call(signal, { type: 'abort', target: signal })
  }
  // A signal by its shape alone, which is the case.
  return { signal: signal as unknown as AbortSignal, abort, listeners: () => asked }
}

/** The objects are what they are: signals only by their shape. */
const kinds: readonly (readonly [string, () => Foreign])[] = [
  ['a polyfill without a reason', polyfill],
  ['a polyfill of another realm', () => runInNewContext(`(${String(polyfill)})()`) as Foreign],
  [
    "a polyfill that stands on the platform's prototype",
    () => {
      const { signal, ...rest } = polyfill()
      const posing = Object.create(AbortSignal.prototype, {
        aborted: { get: () => signal.aborted },
        addEventListener: { value: signal.addEventListener },
        removeEventListener: { value: signal.removeEventListener },
      })
      return { ...rest, signal: posing }
    },
  ],
  [
    'one with a reason of its own',
    () => {
      const platform = new AbortController()
      const seen: unknown[] = []
      const signal = {
        get aborted() {
          return platform.signal.aborted
        },
        get reason() {
          return 'enough'
        },
        addEventListener(type: string, listener: () => void) {
          seen.push(listener)
          platform.signal.addEventListener(type, listener)
        },
      } as unknown as AbortSignal
      return { signal, abort: () => platform.abort(), listeners: () => seen.length }
    },
  ],
]

type Face = (set: SetUp, signal: AbortSignal) => PromiseLike<unknown>

const work = ({ signal }: { readonly signal: AbortSignal }) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

const faces: readonly (readonly [string, Face])[] = [
  [
    'create, among openai’s options',
    ({ llm }, signal) => llm.chat.completions.create(ask('hi'), { signal }),
  ],
  [
    'create, among ours',
    ({ llm }, signal) => llm.chat.completions.create(ask('hi'), { steady: { signal } }),
  ],
  [
    'create, beside another',
    ({ llm }, signal) =>
      llm.chat.completions.create(ask('hi'), {
        signal,
        steady: { signal: new AbortController().signal },
      }),
  ],
  [
    'create, its head alone',
    ({ llm }, signal) => llm.chat.completions.create(ask('hi'), { signal }).asResponse(),
  ],
  [
    'a stream',
    ({ llm }, signal) => llm.chat.completions.create({ ...ask('hi'), stream: true }, { signal }),
  ],
  [
    'json under a key',
    ({ llm }, signal) =>
      llm.json({ ...ask('hi'), schema: person }, { signal, idempotencyKey: 'k' }),
  ],
  [
    'json, among openai’s options',
    ({ llm }, signal) => llm.json({ ...ask('hi'), schema: person }, { requestOptions: { signal } }),
  ],
]

const functionFaces: readonly (readonly [string, Face])[] = [
  ['run', ({ llm }, signal) => llm.run('work', work, { signal })],
  ['retry', (_, signal) => retry(work, { signal })],
  [
    'runIdempotent',
    (_, signal) =>
      runIdempotent({ store: memoryStore(), operation: 'o', payload: 1, signal }, work),
  ],
]

describe.each(kinds)('a signal that is %s', (_kind, make) => {
  it.each(faces)('ends a request in flight: %s', async (_, call) => {
    const set = await setUp({ script: [hangs()] })
    const { signal, abort } = make()
    const failed = rejection(call(set, signal))
    while (set.server.count === 0) await new Promise(setImmediate)
    abort()
    expect(isAbort(await failed)).toBe(true)
    expect(set.server.count).toBe(1)
  })

  it.each(faces)('aborted already, lets nothing be sent: %s', async (_, call) => {
    const set = await setUp()
    const { signal, abort } = make()
    abort()
    expect(isAbort(await rejection(call(set, signal)))).toBe(true)
    expect(set.server.count).toBe(0)
  })

  it.each(functionFaces)('ends a function: %s', async (_, call) => {
    const set = await setUp()
    const { signal, abort } = make()
    const failed = rejection(call(set, signal))
    await new Promise(setImmediate)
    abort()
    expect(isAbort(await failed)).toBe(true)
  })

  it('is listened to once, however many calls it is given to', async () => {
    const { llm } = await setUp()
    const { signal, listeners } = make()
    for (let call = 0; call < 5; call++) await llm.chat.completions.create(ask('hi'), { signal })
    expect(listeners()).toBe(1)
  })
})

describe('what is no signal', () => {
  it.each([
    ['a controller', new AbortController()],
    ['an event target', new EventTarget()],
    ['an object with aborted alone', { aborted: false }],
    ['an object whose aborted is no boolean', { aborted: 'no', addEventListener() {} }],
  ])('is refused by name: %s', async (_, signal) => {
    const { llm, server, client } = await setUp()
    const given = signal as never
    const message = 'signal must be an AbortSignal'
    await expect(llm.json({ ...ask('hi'), schema: person }, { signal: given })).rejects.toThrow(
      message,
    )
    await expect(llm.run('work', () => 1, { signal: given })).rejects.toThrow(message)
    await expect(
      steady(client).chat.completions.create(ask('hi'), { signal: given }),
    ).rejects.toThrow(message)
    expect(server.count).toBe(0)
  })
})

function isAbort(error: unknown): boolean {
  const kind: unknown = Reflect.get(Object(error), 'kind')
  return error instanceof APIUserAbortError || kind === 'aborted'
}
