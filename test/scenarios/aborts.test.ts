import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createRuntime,
  memoryStore,
  type Runtime,
  retry,
  type SteadyClient,
  type SteadyOptions,
  steady,
} from '../../src/index.ts'
import { type VirtualClock, virtualClock } from '../../src/testing/index.ts'
import { ask, person } from '../support/set-up.ts'
import { httpError } from './world.ts'

interface Stage {
  readonly clock: VirtualClock
  readonly runtime: Runtime
  readonly llm: SteadyClient<OpenAI>
  readonly signal: AbortSignal
}

/** What the provider answers, in order; the last one for ever. Each takes 10 ms. */
type Reply = {
  readonly status?: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

const good = (content: string): Reply => ({
  body: {
    id: 'c',
    object: 'chat.completion',
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content } }],
  },
})
const down: Reply = { status: 500, body: { error: { message: 'down' } } }
const limited: Reply = {
  status: 429,
  body: { error: { message: 'slow down' } },
  headers: { 'retry-after': '1' },
}
const events = ['Hel', 'lo', ' you']
  .map((content, index, all) => ({
    choices: [
      { index: 0, delta: { content }, finish_reason: index === all.length - 1 ? 'stop' : null },
    ],
  }))
  .map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`)

// In this process, so that every step of a call is a step of the test: nothing comes from outside.
function provider(clock: VirtualClock, replies: readonly Reply[]): typeof fetch {
  let asked = 0
  return (_url, init) => {
    const reply = replies[Math.min(asked++, replies.length - 1)] ?? down
    const { status = 200, body, headers } = reply
    return new Promise((resolve, reject) => {
      const signal = init?.signal
      const onAbort = () => {
        cancel()
        reject(signal?.reason)
      }
      const cancel = clock.schedule(10, () => {
        signal?.removeEventListener('abort', onAbort)
        const type = body === events ? 'text/event-stream' : 'application/json'
        const sent = body === events ? eventStream(clock) : JSON.stringify(body)
        resolve(new Response(sent, { status, headers: { 'content-type': type, ...headers } }))
      })
      if (signal?.aborted) onAbort()
      else signal?.addEventListener('abort', onAbort, { once: true })
    })
  }
}

function eventStream(clock: VirtualClock): ReadableStream<Uint8Array> {
  const left = [...events, 'data: [DONE]\n\n']
  let cancel = () => {}
  return new ReadableStream({
    pull: (controller) =>
      new Promise((resolve) => {
        cancel = clock.schedule(5, () => {
          const next = left.shift()
          if (next === undefined) controller.close()
          else controller.enqueue(new TextEncoder().encode(next))
          resolve()
        })
      }),
    cancel: () => cancel(),
  })
}

interface Scene {
  readonly name: string
  readonly replies: readonly Reply[]
  readonly options?: SteadyOptions
  /** Puts the stage into the state that the call is to meet. */
  prepare?(stage: Stage): Promise<unknown> | unknown
  call(stage: Stage): Promise<unknown>
}

const create = ({ llm, signal }: Stage) => llm.chat.completions.create(ask('hi'), { signal })
const hanging = (signal: AbortSignal) =>
  new Promise((_, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
  })

const scenes: readonly Scene[] = [
  { name: 'create, with a retry', replies: [down, good('fine')], call: create },
  {
    name: 'create, with a fallback',
    replies: [down, down, good('fine')],
    options: { fallbacks: [{ model: 'gpt-other' }] },
    call: create,
  },
  {
    name: 'json, with a re-ask and a repair',
    replies: [good('{"name":3}'), good('```json\n{"name":"Ann","age":"36"}\n```')],
    call: ({ llm, signal }) => llm.json({ ...ask('who?'), schema: person }, { signal }),
  },
  {
    name: 'a stream, with a retry, read to its end',
    replies: [down, { body: events }],
    async call({ llm, signal }) {
      const stream = await llm.chat.completions.create({ ...ask('hi'), stream: true }, { signal })
      let text = ''
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
      return text
    },
  },
  {
    name: 'a keyed call',
    replies: [down, good('{"name":"Ann","age":36}')],
    options: { store: memoryStore() },
    call: ({ llm, signal }) =>
      llm.json({ ...ask('who?'), schema: person }, { signal, idempotencyKey: crypto.randomUUID() }),
  },
  {
    name: 'a call that waits for a hint',
    replies: [limited, good('fine')],
    call: create,
  },
  {
    name: 'a call that waits in the gate',
    replies: [limited, good('fine')],
    async prepare({ llm, clock }) {
      llm.chat.completions.create(ask('first'), { maxRetries: 0 }).catch(() => {})
      await clock.advance(15)
    },
    call: create,
  },
  {
    name: 'a call in the queue of a concurrency limit',
    replies: [good('fine')],
    options: { concurrency: 1 },
    prepare: ({ llm }) => void llm.chat.completions.create(ask('first')).catch(() => {}),
    call: create,
  },
  {
    name: 'a call with a hedge in flight',
    replies: [good('fine')],
    options: { hedge: { delayMs: 3, maxExtraLoad: 1 }, retryBudget: { initial: 10 } },
    call: create,
  },
  {
    name: 'run, with a call inside',
    replies: [down, good('fine')],
    call: ({ llm, signal }) =>
      llm.run(
        'outer',
        (inner) => llm.chat.completions.create(ask('in'), { signal: inner.signal }),
        {
          signal,
        },
      ),
  },
  {
    name: 'run, with a function that hangs',
    replies: [],
    call: ({ llm, signal }) =>
      llm.run('job', (inner) => hanging(inner.signal), { signal, attemptTimeoutMs: 30 }),
  },
  {
    name: 'retry',
    replies: [],
    call: ({ signal, runtime }) =>
      retry(() => Promise.reject(httpError(503)), { signal, runtime, maxAttempts: 3 }),
  },
]

describe('an abort at every point of a call leaves nothing behind', () => {
  const unhandled: unknown[] = []
  const onUnhandled = (reason: unknown) => unhandled.push(reason)
  beforeAll(() => void process.on('unhandledRejection', onUnhandled))
  afterAll(() => void process.off('unhandledRejection', onUnhandled))

  it.each(scenes)('$name', { timeout: 60_000 }, async (scene) => {
    let points = 0
    for (let point = 0; ; point += 1) {
      const { endedBefore, outcome } = await abortAt(scene, point)
      if (endedBefore) break
      points += 1
      expect([point, outcome]).not.toEqual([point, 'still running'])
    }
    // A call has dozens of points: an enumeration that stops early would prove nothing.
    expect(points).toBeGreaterThan(20)
    expect(unhandled).toEqual([])
  })

  /** Starts the call and aborts it after so many microtasks and timers. */
  async function abortAt({ replies, options, prepare, call }: Scene, point: number) {
    const clock = virtualClock()
    const runtime = createRuntime({ clock, random: () => 0.5 })
    const fetch = provider(clock, replies)
    const client = new OpenAI({ apiKey: 'k', baseURL: 'http://localhost/v1', fetch })
    const llm = steady(client, { runtime, ...options })
    const caller = new AbortController()
    const { signal } = caller
    const stage = { clock, runtime, llm, signal }
    await prepare?.(stage)
    let outcome: 'still running' | 'succeeded' | 'failed' = 'still running'
    call(stage).then(
      () => {
        outcome = 'succeeded'
      },
      () => {
        outcome = 'failed'
      },
    )
    const isOver = () => outcome !== 'still running'
    for (let step = 1; step <= point && !isOver(); step += 1) await oneStep(clock, step)
    const endedBefore = isOver()
    // Before the abort: that would take every listener off itself.
    if (endedBefore) expect(getEventListeners(signal, 'abort')).toEqual([])
    caller.abort(new Error('the caller left'))
    // At once: no timer has to fire for it.
    for (let turn = 0; turn < 20 && !isOver(); turn += 1) await setImmediate()
    const atOnce = outcome
    // What others began goes on to its end.
    while (clock.pending > 0) await clock.advanceToNext()
    await setImmediate()
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(runtime.shared.flights.size).toBe(0)
    for (const target of llm.targets()) {
      expect(target).toMatchObject({ breaker: 'closed' })
      expect([target.inFlight ?? 0, target.queued ?? 0]).toEqual([0, 0])
    }
    return { endedBefore, outcome: atOnce }
  }
})

async function oneStep(clock: VirtualClock, step: number): Promise<unknown> {
  if (step % TURNS_BETWEEN_TIMERS !== 0) return Promise.resolve()
  return clock.pending > 0 ? clock.advanceToNext() : setImmediate()
}

// Between two timers every continuation of a settled promise gets its turn.
const TURNS_BETWEEN_TIMERS = 40
