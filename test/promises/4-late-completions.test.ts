import type OpenAI from 'openai'
import { APIUserAbortError } from 'openai'
import { describe, expect, it, vi } from 'vitest'
import {
  callReport,
  createRuntime,
  isCallError,
  memoryStore,
  notExecuted,
  type Runtime,
  runIdempotent,
  type SteadyClient,
  type Store,
  steady,
} from '../../src/index.ts'
import { answers, type Fault, ok, virtualClock } from '../../src/testing/index.ts'
import { ask, clientFor, person, startServer } from '../support/set-up.ts'
import { chunksOf, heldStream, keyed, sentence, textIn } from '../support/streams.ts'

const idempotencyKey = 'order-7'
const HOW = ['an abort', 'a deadline', 'a timeout'] as const
/** Not a matter of this machine's speed. */
const LONG = { timeout: 60_000, interval: 5 }

describe('a function whose caller was let go by', LONG, () => {
  describe.each(HOW)('%s', (how) => {
    it.each(['rerun', 'fail'] as const)(
      "is kept when it ends later, under '%s'",
      async (policy) => {
        const scene = setUp()
        expect(await scene.letGo(how, policy)).toMatch(
          /^(aborted|deadline|timeout|outcome_unknown)$/,
        )
        scene.finish('done')
        expect(await scene.later(policy)).toBe('done')
        expect(await scene.elsewhere(policy)).toBe('done')
        expect(scene.runs).toBe(1)
      },
    )
  })

  it("an abort is waited for by who comes meanwhile, under 'rerun', here and elsewhere", async () => {
    const scene = setUp()
    await scene.letGo('an abort', 'rerun')
    const callers = [scene.call({ onUncertain: 'rerun' }), scene.elsewhere('rerun')]
    await vi.waitFor(() => expect(scene.claims.length).toBeGreaterThanOrEqual(3), LONG)
    scene.finish('done')
    expect(await advancing(scene, Promise.all(callers))).toEqual(['done', 'done'])
    expect(scene.runs).toBe(1)
  })

  it("an abort holds its key no longer than the lease, under 'rerun', and then has lost it", async () => {
    const scene = setUp()
    await scene.letGo('an abort', 'rerun')
    const first = scene.finish
    const second = scene.call({ onUncertain: 'rerun', deadlineMs: 60_000 })
    await scene.clock.advance(25_000)
    expect(scene.runs).toBe(1)
    await scene.clock.advance(10_000)
    await vi.waitFor(() => expect(scene.runs).toBe(2), LONG)
    first('too late')
    await scene.clock.advance(0)
    scene.finish('in time')
    expect(await second).toBe('in time')
    expect(await scene.elsewhere('rerun')).toBe('in time')
  })

  it("an abort is in doubt until it ends, under 'fail', and known from then on", async () => {
    const scene = setUp()
    await scene.letGo('an abort', 'fail')
    expect(await scene.call({ onUncertain: 'fail' })).toBe('outcome_unknown')
    scene.finish('done')
    expect(await scene.later('fail')).toBe('done')
    expect(scene.runs).toBe(1)
  })

  it("an abort frees its key when it fails later, under 'rerun'", async () => {
    const scene = setUp()
    await scene.letGo('an abort', 'rerun')
    scene.break(new Error('broken'))
    const again = scene.call({ onUncertain: 'rerun' })
    await advancing(
      scene,
      vi.waitFor(() => expect(scene.runs).toBe(2), LONG),
    )
    scene.finish('done')
    expect(await again).toBe('done')
  })

  it("an abort stays in doubt when it fails later, under 'fail'", async () => {
    const scene = setUp()
    await scene.letGo('an abort', 'fail')
    scene.break(new Error('broken'))
    await scene.clock.advance(1_000)
    expect(await scene.call({ onUncertain: 'fail' })).toBe('outcome_unknown')
    expect(scene.runs).toBe(1)
  })

  it("an abort frees its key when it says later that nothing was done, under 'fail'", async () => {
    const scene = setUp()
    await scene.letGo('an abort', 'fail')
    scene.break(notExecuted(new Error('refused')))
    await scene.clock.advance(1_000)
    const again = scene.call({ onUncertain: 'fail' })
    await vi.waitFor(() => expect(scene.runs).toBe(2), LONG)
    scene.finish('done')
    expect(await again).toBe('done')
  })

  it('an abort gives way to what an operator has settled meanwhile', async () => {
    const scene = setUp()
    await scene.letGo('an abort', 'fail')
    const [key = ''] = scene.claims
    expect(await scene.store.resolve(key, { ok: false, notice: { kind: 'refusal' } }, 60_000)).toBe(
      true,
    )
    scene.finish('done')
    await scene.clock.advance(1_000)
    expect(await scene.call({ onUncertain: 'fail' })).toBe('refusal')
  })
})

describe('a request whose answer comes although its caller has left', LONG, () => {
  it.each<[string, (llm: SteadyClient<OpenAI>, signal?: AbortSignal) => Promise<unknown>]>([
    [
      'json',
      async (llm, signal) => {
        const made = await llm.json(
          { ...ask('hi'), schema: person },
          { idempotencyKey, ...(signal && { signal }) },
        )
        return [made.source, made.value]
      },
    ],
    [
      'create',
      async (llm, signal) => {
        const made = await llm.chat.completions.create(ask('hi'), {
          ...(signal && { signal }),
          steady: { idempotencyKey },
        })
        return ['store', JSON.parse(made.choices[0]?.message.content ?? '')]
      },
    ],
  ])('is kept, for %s', async (_, call) => {
    const scene = await server(ok())
    const leaving = new AbortController()
    const first = call(scene.llm, leaving.signal).catch(() => 'left')
    await scene.arrived()
    leaving.abort()
    expect(await first).toBe('left')
    scene.answer()
    expect(await call(scene.llm)).toEqual(['store', { name: 'Ada', age: 36 }])
    expect(scene.server.count).toBe(2)
  })

  it('is not kept where it is no good', async () => {
    const scene = await server(answers('{"name":17}'))
    const leaving = new AbortController()
    const call = (signal?: AbortSignal) =>
      scene.llm.json(
        { ...ask('hi'), schema: person },
        { idempotencyKey, repair: 'off', maxReasks: 0, ...(signal && { signal }) },
      )
    const first = call(leaving.signal).catch(() => 'left')
    await scene.arrived()
    leaving.abort()
    expect(await first).toBe('left')
    scene.answer()
    expect((await call()).source).toBe('provider')
    expect(scene.server.count).toBe(3)
  })
})

describe('a stream that its only reader leaves', LONG, () => {
  it.each(['by break', 'by an abort'])(
    '%s is kept when all of its answer had come',
    async (how) => {
      let end: () => void = () => {}
      const ended = new Promise<void>((resolve) => {
        end = resolve
      })
      const allButEnd: Fault = {
        name: 'all but the end',
        async apply(exchange) {
          const { head, content, tail } = exchange.pieces()
          exchange.begin()
          const [finish = '', ...rest] = tail
          await exchange.write([...head, ...content, finish].join(''))
          await ended
          exchange.response.end(rest.join(''))
        },
      }
      const started = await startServer({ ...sentence, script: [allButEnd, ok()] })
      const llm = steady(clientFor(started), { runtime: createRuntime({ random: () => 0 }) })
      const leaving = new AbortController()
      const reading = (async () => {
        for await (const chunk of await keyed(llm, {}, leaving.signal)) {
          if (chunk.choices[0]?.delta.content === undefined) continue
          // What came in the same packet has been read by now.
          for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
          if (how === 'by break') break
          leaving.abort()
        }
      })()
      if (how === 'by break') await reading
      else await expect(reading).rejects.toThrow(APIUserAbortError)
      end()
      const stream = await keyed(llm)
      expect(textIn(await chunksOf(stream))).toBe(sentence.answer)
      expect(callReport(stream)?.source).toMatch(/store|shared/)
      expect(started.count).toBe(1)
    },
  )

  it('is not kept when some of its answer was to come', async () => {
    const { fault } = heldStream(3)
    const started = await startServer({ ...sentence, script: [fault, ok()] })
    const llm = steady(clientFor(started), { runtime: createRuntime({ random: () => 0 }) })
    for await (const chunk of await keyed(llm)) if (chunk.choices[0]?.delta.content) break
    const stream = await keyed(llm)
    expect(textIn(await chunksOf(stream))).toBe(sentence.answer)
    expect(callReport(stream)?.source).toBe('provider')
    expect(started.count).toBe(2)
  })
})

type Policy = 'rerun' | 'fail'

/** A function that looks at no signal, its callers, and a clock that stands still. */
function setUp() {
  const clock = virtualClock()
  const memory = memoryStore({ clock })
  const claims: string[] = []
  const store: Store = {
    ...memory,
    claim(request) {
      claims.push(request.key)
      return memory.claim(request)
    },
  }
  const runtime = createRuntime({ clock, random: () => 0 })
  const scene = {
    clock,
    store,
    claims,
    runs: 0,
    finish: (_: string): void => {},
    break: (_: unknown): void => {},
    async call(options: object, on: Runtime = runtime): Promise<unknown> {
      const work = () =>
        new Promise<string>((resolve, reject) => {
          scene.runs++
          scene.finish = resolve
          scene.break = reject
        })
      const guard = { store, runtime: on, operation: 'charge', payload: 1, idempotencyKey }
      try {
        return await runIdempotent({ ...guard, maxAttempts: 1, ...options }, work)
      } catch (error) {
        return isCallError(error) ? error.kind : error
      }
    },
    async letGo(how: (typeof HOW)[number], onUncertain: Policy): Promise<unknown> {
      const aborting = new AbortController()
      const limits = {
        'an abort': { signal: aborting.signal },
        'a deadline': { deadlineMs: 1_000, attemptTimeoutMs: 9_000 },
        'a timeout': { attemptTimeoutMs: 1_000 },
      }
      const first = scene.call({ onUncertain, ...limits[how] })
      await vi.waitFor(() => expect(scene.runs).toBe(1), LONG)
      aborting.abort()
      if (how !== 'an abort') await clock.advance(1_000)
      return advancing(scene, first)
    },
    /** After what has just ended was recorded. */
    async later(onUncertain: Policy): Promise<unknown> {
      await clock.advance(0)
      return advancing(scene, scene.call({ onUncertain }))
    },
    async elsewhere(onUncertain: Policy): Promise<unknown> {
      const other = createRuntime({ clock, random: () => 0 })
      return advancing(scene, scene.call({ onUncertain }, other))
    },
  }
  return scene
}

/** The promise, while the clock goes on. */
async function advancing<T>(
  { clock }: { readonly clock: ReturnType<typeof virtualClock> },
  promise: Promise<T>,
): Promise<T> {
  let settled = false
  const done = () => {
    settled = true
  }
  promise.then(done, done)
  for (let i = 0; i < 200 && !settled; i++) {
    await new Promise((resolve) => setImmediate(resolve))
    if (!settled && !busy.has(clock)) {
      busy.add(clock)
      await clock.advance(20)
      busy.delete(clock)
    }
  }
  return promise
}

const busy = new WeakSet<object>()

/** A provider that answers when it is told to, asked through a fetch that looks at no signal. */
async function server(fault: Fault) {
  let answer: () => void = () => {}
  const answered = new Promise<void>((resolve) => {
    answer = resolve
  })
  const held: Fault = {
    name: fault.name,
    async apply(exchange) {
      await answered
      await fault.apply(exchange)
    },
  }
  const started = await startServer({
    answer: '{"name":"Ada","age":36}',
    script: [ok(), held, ok()],
  })
  const deaf: typeof fetch = (url, init) => fetch(url, { ...init, signal: null })
  const llm = steady(clientFor(started, { fetch: deaf }), {
    runtime: createRuntime({ random: () => 0 }),
  })
  // openai drops an answer whose signal has fired. It is not given ours once it is known that the
  // client's requests come by here: from its second one on.
  await llm.chat.completions.create(ask('first'))
  const arrived = () => vi.waitFor(() => expect(started.count).toBe(2), LONG)
  return { server: started, llm, answer: () => answer(), arrived }
}
