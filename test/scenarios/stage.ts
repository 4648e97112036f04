import { setImmediate } from 'node:timers/promises'
import OpenAI from 'openai'
import {
  type CallEvent,
  createRuntime,
  isCallError,
  memoryStore,
  type Runtime,
  type SteadyClient,
  type SteadyOptions,
  type Store,
  steady,
} from '../../src/index.ts'
import { SteppedClock } from './stepped-clock.ts'

/** What the provider answers, in order; the last one for ever. */
export interface Reply {
  /** How long it takes. @default 10 */
  readonly afterMs?: number | 'never'
  readonly status?: number
  /** An array is a stream: one event each 5 ms. */
  readonly body: object | readonly (string | Uint8Array)[]
  readonly headers?: Readonly<Record<string, string>>
  /** What a stream does after its last event. @default 'ends' */
  readonly then?: 'ends' | 'breaks' | 'goes silent'
}

export const good = (content: string): Reply => ({
  body: {
    id: 'c',
    object: 'chat.completion',
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content } }],
  },
})
export const down: Reply = { status: 500, body: { error: { message: 'down' } } }
export const limited: Reply = {
  status: 429,
  body: { error: { message: 'slow down' } },
  headers: { 'retry-after': '1' },
}

/** One event of a stream. */
export const chunk = (choice: object) => {
  const choices = [{ index: 0, finish_reason: null, delta: {}, ...choice }]
  return `data: ${JSON.stringify({ choices })}\n\n`
}
/** A stream of three pieces of text, between a chunk without content and the end. */
export const pieces: readonly string[] = [
  chunk({ delta: { role: 'assistant', content: '' } }),
  ...['Hel', 'lo', ' you'].map((content) => chunk({ delta: { content } })),
  chunk({ finish_reason: 'stop' }),
  'data: [DONE]\n\n',
]

/** Everything a call meets, in this process and on one clock: nothing comes from outside. */
export interface Stage {
  readonly clock: SteppedClock
  readonly runtime: Runtime
  readonly llm: SteadyClient<OpenAI>
  /** Another process, with the same provider, store and clock; its events are not kept. */
  readonly elsewhere: SteadyClient<OpenAI>
  readonly store: Store
  readonly events: CallEvent[]
  readonly signal: AbortSignal
}

export interface Setting {
  readonly replies: readonly Reply[]
  readonly options?: SteadyOptions | undefined
  readonly signal?: AbortSignal
  /** @default always 0.5 */
  readonly random?: () => number
  /** Told of each call into code that is not ours, while that runs. */
  readonly userCode?: (name: string) => void
}

export function stageFor({
  replies,
  options = {},
  signal = new AbortController().signal,
  random = () => 0.5,
  userCode = () => {},
}: Setting): Stage {
  const clock = new SteppedClock()
  const runtime = createRuntime({ clock, random })
  // The scenes send the same request again on purpose.
  runtime.shared.warned.add('STEADYCALL_REPEATED_CALL')
  const fetch = provider(clock, replies, userCode)
  const client = new OpenAI({ apiKey: 'k', baseURL: 'http://localhost/v1', fetch })
  const store = slowStore(memoryStore({ clock }), clock, userCode)
  const events: CallEvent[] = []
  const onEvent = (event: CallEvent) => {
    events.push(event)
    userCode(event.type)
  }
  const llm = steady(client, { runtime, store, onEvent, ...options })
  const elsewhere = steady(client, { store, runtime: createRuntime({ clock, random }) })
  return { clock, runtime, llm, elsewhere, store, events, signal }
}

function provider(
  clock: SteppedClock,
  replies: readonly Reply[],
  userCode: (name: string) => void,
): typeof fetch {
  let asked = 0
  return (_url, init) => {
    const reply = replies[Math.min(asked++, replies.length - 1)] ?? down
    const { afterMs = 10, status = 200, body, headers } = reply
    const answered = new Promise<Response>((resolve, reject) => {
      const signal = init?.signal
      const onAbort = () => {
        cancel()
        reject(signal?.reason)
      }
      const answer = () => {
        signal?.removeEventListener('abort', onAbort)
        const isStream = Array.isArray(body)
        const type = isStream ? 'text/event-stream' : 'application/json'
        const sent = isStream ? eventStream(clock, body, reply, signal) : JSON.stringify(body)
        resolve(new Response(sent, { status, headers: { 'content-type': type, ...headers } }))
      }
      const cancel = afterMs === 'never' ? () => {} : clock.outside(afterMs, answer)
      if (signal?.aborted) onAbort()
      else signal?.addEventListener('abort', onAbort, { once: true })
    })
    userCode('fetch')
    return answered
  }
}

/** Breaks off when the request is aborted, as the body of a real response does. */
function eventStream(
  clock: SteppedClock,
  events: readonly (string | Uint8Array)[],
  { then = 'ends' }: Reply,
  signal: AbortSignal | null | undefined,
): ReadableStream<Uint8Array> {
  const left = [...events]
  let cancel = () => {}
  const sendNext = (controller: ReadableStreamDefaultController) => {
    const next = left.shift()
    if (next !== undefined) controller.enqueue(bytesOf(next))
    else if (then === 'breaks') controller.error(reset())
    else controller.close()
  }
  return new ReadableStream({
    start(controller) {
      signal?.addEventListener('abort', () => {
        cancel()
        controller.error(signal.reason)
      })
    },
    pull: (controller) =>
      new Promise((resolve) => {
        // A pull that never ends: nothing more will come.
        if (left.length === 0 && then === 'goes silent') return
        cancel = clock.outside(5, () => {
          sendNext(controller)
          resolve()
        })
      }),
    cancel: () => cancel(),
  })
}

function bytesOf(event: string | Uint8Array): Uint8Array {
  return typeof event === 'string' ? new TextEncoder().encode(event) : event
}

/** What a body rejects with when its connection is lost. */
function reset(): Error {
  const cause = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
  return Object.assign(new TypeError('terminated'), { cause })
}

/** A store at a distance: each verb takes effect after 1 ms, and its answer takes 1 ms more. */
function slowStore(store: Store, clock: SteppedClock, userCode: (name: string) => void): Store {
  const travel = () => new Promise<void>((resolve) => void clock.outside(1, resolve))
  const distant = async <R>(name: string, verb: () => Promise<R>): Promise<R> => {
    userCode(name)
    await travel()
    const answer = await verb()
    await travel()
    return answer
  }
  return {
    name: 'distant',
    claim: (request) => distant('claim', () => store.claim(request)),
    heartbeat: (...given) => distant('heartbeat', () => store.heartbeat(...given)),
    dispatch: (claim) => distant('dispatch', () => store.dispatch(claim)),
    complete: (...given) => distant('complete', () => store.complete(...given)),
    release: (...given) => distant('release', () => store.release(...given)),
    markUncertain: (...given) => distant('markUncertain', () => store.markUncertain(...given)),
    resolve: (...given) => distant('resolve', () => store.resolve(...given)),
  }
}

/** How a promise ends, once it has: 'succeeded', the kind of its error, or else its message. */
export interface Seen {
  how?: string
}

export function watch(promise: Promise<unknown>): Seen {
  const seen: Seen = {}
  promise.then(
    () => {
      seen.how = 'succeeded'
    },
    (error: unknown) => {
      seen.how = isCallError(error) ? error.kind : error instanceof Error ? error.message : 'failed'
    },
  )
  return seen
}

/** Drives the stage until the promise has settled, one way or the other. */
export async function finish(
  { clock }: Pick<Stage, 'clock'>,
  promise: Promise<unknown>,
): Promise<Seen> {
  const seen = watch(promise)
  let still = 0
  while (seen.how === undefined) {
    // A second turn for what itself goes through the event loop.
    for (let turn = 0; turn < 2; turn += 1) await setImmediate()
    if (seen.how !== undefined) break
    const atMs = clock.monotonicMs()
    clock.fireNext()
    still = clock.monotonicMs() > atMs ? 0 : still + 1
    if (still > 1_000)
      throw new Error(`time stands still at ${atMs} ms, and the work has not ended`)
  }
  return seen
}
