import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  createRuntime,
  isCallError,
  memoryStore,
  type SteadyClient,
  type SteadyOptions,
  type Store,
  steady,
} from '../../src/index.ts'
import { sqliteStore } from '../../src/stores/sqlite-store.ts'
import {
  answers,
  type Fault,
  type FaultServer,
  hangs,
  ok,
  overloaded,
  rateLimited,
  resetBeforeResponse,
  serverError,
  virtualClock,
} from '../../src/testing/index.ts'
import { ask, clientFor, person, startServer } from '../support/set-up.ts'
import { chunksOf } from '../support/streams.ts'

type Client = SteadyClient<ReturnType<typeof clientFor>>

/** Not a matter of this machine's speed. */
const LONG = { timeout: 60_000, interval: 5 }

const idempotencyKey = 'order-7'
const json = (llm: Client, onUncertain: 'rerun' | 'fail', more: object = {}) =>
  llm.json({ ...ask('hi'), schema: person }, { idempotencyKey, onUncertain, ...more })
const stream = (llm: Client, onUncertain: 'rerun' | 'fail') =>
  chunksOf(
    llm.chat.completions.create(
      { ...ask('hi'), stream: true },
      { steady: { idempotencyKey, onUncertain } },
    ),
  )

interface Scene {
  /** What the owner's requests get; `forbidden` is a fault that first waits for the strict caller. */
  script(forbidden: (then: Fault) => Fault): readonly Fault[]
  readonly call?: (llm: Client, onUncertain: 'rerun' | 'fail') => Promise<unknown>
  /** How many requests have arrived when the strict caller comes. @default 1 */
  readonly after?: number
  /** How many requests arrive in all. */
  readonly requests: number
  readonly owner: string
  readonly strict: string
}

const UNKNOWN = { requests: 1, owner: 'outcome_unknown', strict: 'outcome_unknown' } as const

/** The owner runs under 'rerun'; while its work is on the way somebody asks that it be not repeated. */
const SCENES: Readonly<Record<string, Scene>> = {
  'no retry after a cut connection': {
    script: (forbidden) => [forbidden(resetBeforeResponse()), ok()],
    ...UNKNOWN,
  },
  'no retry after a server error': {
    script: (forbidden) => [forbidden(serverError()), ok()],
    ...UNKNOWN,
  },
  'no retry of a stream that was cut before its first content': {
    script: (forbidden) => [forbidden(resetBeforeResponse()), ok()],
    call: stream,
    ...UNKNOWN,
    // The drop-in call throws openai's own classes.
    owner: 'APIConnectionError',
    strict: 'outcome_unknown',
  },
  'no re-ask of an answer that was no good': {
    script: (forbidden) => [forbidden(answers('no JSON at all')), ok()],
    // It was done, and is known to be bad: nothing is in doubt.
    requests: 1,
    owner: 'malformed_output',
    strict: 'malformed_output',
  },
  'no retry of a refusal that came after a cut connection': {
    script: (forbidden) => [
      resetBeforeResponse(),
      forbidden(rateLimited({ retryAfterMs: 10 })),
      ok(),
    ],
    after: 2,
    requests: 2,
    owner: 'outcome_unknown',
    strict: 'outcome_unknown',
  },
  'retries of what was surely not done': {
    script: (forbidden) => [forbidden(overloaded()), ok()],
    requests: 2,
    owner: 'provider',
    strict: 'store',
  },
  'the result of a request that was on its way already': {
    script: (forbidden) => [resetBeforeResponse(), forbidden(ok())],
    after: 2,
    requests: 2,
    owner: 'provider',
    strict: 'store',
  },
}

const STORES: Readonly<Record<string, () => Store>> = {
  memory: () => memoryStore(),
  sqlite() {
    const directory = mkdtempSync(join(tmpdir(), 'steadycall-strict-'))
    const store = sqliteStore(join(directory, 'keys.db'))
    onTestFinished(async () => {
      await store.close()
      rmSync(directory, { recursive: true })
    })
    return store
  },
}

describe.each(Object.entries(STORES))('a stricter caller, on a %s store', LONG, (_, makeStore) => {
  it.each(Object.entries(SCENES))('in another process gets %s', async (__, scene) => {
    const { forbidden, store } = watched(makeStore())
    const server = await startServer({ answer: GOOD, script: scene.script(forbidden) })
    const { call = json } = scene
    const owner = endOf(call(llmFor(server, store), 'rerun'))
    await arrived(server, scene.after)
    const strict = endOf(call(llmFor(server, store), 'fail'))
    expect({ owner: await owner, strict: await strict, requests: server.count }).toEqual({
      owner: scene.owner,
      strict: call === stream && scene.strict === 'outcome_unknown' ? 'APIError' : scene.strict,
      requests: scene.requests,
    })
  })
})

describe('a stricter caller', LONG, () => {
  it.each(Object.entries(SCENES))('in the same process gets %s', async (_, scene) => {
    const { forbidden, store } = watched(memoryStore())
    const server = await startServer({ answer: GOOD, script: scene.script(forbidden) })
    const { call = json } = scene
    const llm = llmFor(server, store)
    const owner = endOf(call(llm, 'rerun'))
    await arrived(server, scene.after)
    const strict = endOf(call(llm, 'fail'))
    expect({ owner: await owner, requests: server.count }).toEqual({
      owner: scene.owner,
      requests: scene.requests,
    })
    expect(await strict).toBe(
      { store: 'shared', outcome_unknown: call === stream ? 'APIError' : 'outcome_unknown' }[
        scene.strict
      ] ?? scene.strict,
    )
  })

  it('gets no fallback to another target', async () => {
    const { forbidden, store } = watched(memoryStore())
    const server = await startServer({ answer: GOOD, script: [forbidden(serverError())] })
    const second = await startServer({ answer: GOOD })
    const owner = endOf(
      json(
        llmFor(server, store, {
          maxAttempts: 2,
          fallbacks: [{ client: clientFor(second), model: 'other' }],
        }),
        'rerun',
      ),
    )
    await arrived(server)
    const strict = endOf(json(llmFor(server, store), 'fail'))
    expect([await owner, await strict]).toEqual(['outcome_unknown', 'outcome_unknown'])
    expect([server.count, second.count]).toEqual([1, 0])
  })

  it('gets no hedge, and the answer of the request that was on its way', async () => {
    const { forbidden, store, claims } = watched(memoryStore())
    let answer: () => void = () => {}
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    const slowly: Fault = {
      name: 'slowly',
      async apply(exchange) {
        await answered
        await ok().apply(exchange)
      },
    }
    const server = await startServer({ answer: GOOD, script: [forbidden(slowly), ok()] })
    const clock = virtualClock()
    const hedging = {
      runtime: createRuntime({ clock }),
      hedge: { delayMs: 500, maxExtraLoad: 1 },
    }
    const owner = endOf(json(llmFor(server, store, hedging), 'rerun'))
    await arrived(server)
    const strict = endOf(json(llmFor(server, store), 'fail'))
    await vi.waitFor(() => expect(claims).toContain('fail'), LONG)
    await clock.advance(500)
    // The owner has asked whether there may be one.
    await vi.waitFor(() => expect(claims.filter((one) => one === 'rerun')).toHaveLength(2), LONG)
    answer()
    expect([await owner, await strict]).toEqual(['provider', 'store'])
    expect(server.count).toBe(1)
  })

  it.each(['aborts', 'runs out of time'])(
    'is told that nobody knows when the owner %s',
    async (how) => {
      const { store, claims } = watched(memoryStore())
      const server = await startServer({ answer: GOOD, script: [hangs(), ok()] })
      const clock = virtualClock()
      const aborting = new AbortController()
      const owner = endOf(
        json(llmFor(server, store, { runtime: createRuntime({ clock }) }), 'rerun', {
          signal: aborting.signal,
          attemptTimeoutMs: 6_000,
          deadlineMs: 5_000,
        }),
      )
      await arrived(server)
      const strict = endOf(json(llmFor(server, store), 'fail'))
      await vi.waitFor(() => expect(claims).toContain('fail'), LONG)
      if (how === 'aborts') aborting.abort()
      else await clock.advance(5_000)
      expect(await owner).toBe(how === 'aborts' ? 'aborted' : 'deadline')
      expect(await strict).toBe('outcome_unknown')
      expect(server.count).toBe(1)
    },
  )

  it('is told that nobody knows when a function under rerun throws', async () => {
    const { store, claims } = watched(memoryStore())
    let runs = 0
    let fail: () => void = () => {}
    const charge = (runtime: SteadyOptions['runtime'], onUncertain: 'rerun' | 'fail') =>
      endOf(
        steady(clientFor(server), { store, ...(runtime && { runtime }) }).run(
          'charge',
          async () => {
            runs++
            await new Promise<void>((resolve) => {
              fail = resolve
            })
            throw new Error('the connection broke')
          },
          { idempotencyKey, payload: 1, onUncertain },
        ),
      )
    const server = await startServer()
    const owner = charge(createRuntime(), 'rerun')
    await vi.waitFor(() => expect(runs).toBe(1), LONG)
    const strict = charge(createRuntime(), 'fail')
    await vi.waitFor(() => expect(claims).toContain('fail'), LONG)
    fail()
    await owner
    expect(await strict).toBe('outcome_unknown')
    expect(runs).toBe(1)
  })
})

const GOOD = '{"name":"Ada","age":36}'
function llmFor(server: FaultServer, store: Store, options: SteadyOptions = {}): Client {
  const runtime = createRuntime({ random: () => 0 })
  return steady(clientFor(server), { runtime, store, ...options })
}

async function arrived(server: FaultServer, requests = 1): Promise<void> {
  await vi.waitFor(() => expect(server.count).toBeGreaterThanOrEqual(requests), LONG)
}

/** How a call ended, in one word. */
async function endOf(call: Promise<unknown>): Promise<unknown> {
  try {
    const value = await call
    return Reflect.get(Object(value), 'source') ?? 'provider'
  } catch (error) {
    return isCallError(error) ? error.kind : Object(error).constructor.name
  }
}

/** A store that lets faults wait until somebody has claimed under 'fail'. */
function watched(store: Store): {
  readonly store: Store
  readonly claims: readonly string[]
  forbidden(then: Fault): Fault
} {
  const claims: string[] = []
  let forbid: () => void = () => {}
  const isForbidden = new Promise<void>((resolve) => {
    forbid = resolve
  })
  return {
    claims,
    store: {
      ...store,
      async claim(request) {
        const claimed = await store.claim(request)
        claims.push(request.onUncertain)
        if (request.onUncertain === 'fail') forbid()
        return claimed
      },
    },
    forbidden: (then) => ({
      name: then.name,
      async apply(exchange) {
        await isForbidden
        await then.apply(exchange)
      },
    }),
  }
}
