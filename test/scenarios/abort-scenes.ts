import { memoryStore, retry, runIdempotent, type SteadyOptions } from '../../src/index.ts'
import { ask, person } from '../support/set-up.ts'
import { down, finish, good, limited, pieces, type Reply, type Stage } from './stage.ts'
import { httpError } from './world.ts'

/** A call that is to be aborted, and what it meets. */
export interface Scene {
  readonly name: string
  readonly replies: readonly Reply[]
  readonly options?: SteadyOptions
  /** Puts the stage into the state that the call is to meet. */
  prepare?(stage: Stage): Promise<unknown>
  /** A call of somebody else that begins before ours, and must not be disturbed. */
  before?(stage: Stage): Promise<unknown>
  call(stage: Stage): Promise<unknown>
  /** The same, begun after ours. */
  after?(stage: Stage): Promise<unknown>
  /** When the call returns, what it gave is still bound to the signal. @default false */
  readonly staysOpen?: boolean
  /** Calls that have to settle, the prepared ones included. @default [1] */
  readonly settled?: readonly number[]
  /** How the same call ends when it is made again. @default ['succeeded'] */
  readonly again?: readonly string[]
}

const answer = good('{"name":"Ann","age":36}')
/** For calls that nobody aborts. */
export const never: AbortSignal = new AbortController().signal
const create = ({ llm, signal }: Pick<Stage, 'llm' | 'signal'>) =>
  llm.chat.completions.create(ask('hi'), { signal })
const json = ({ llm, signal }: Stage, idempotencyKey?: string) => {
  const keyed = idempotencyKey === undefined ? {} : { idempotencyKey }
  return llm.json({ ...ask('who?'), schema: person }, { signal, ...keyed })
}
const streamed = ({ llm, signal }: Stage) =>
  llm.chat.completions.create({ ...ask('hi'), stream: true }, { signal })
const read = async (stage: Stage) => {
  let text = ''
  for await (const { choices } of await streamed(stage)) text += choices[0]?.delta.content ?? ''
  if (text !== 'Hello you') throw new Error(`read ${text}`)
}
/** The same stage, for somebody who stays. */
const beside = (stage: Stage): Stage => ({ ...stage, signal: never })
const hanging = (signal: AbortSignal) =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
const ticket = ({ llm, signal, clock }: Stage) => {
  const work = () => new Promise((resolve) => void clock.outside(10, () => resolve({ id: 7 })))
  return llm.run('ticket', work, { signal, idempotencyKey: 'k', payload: 1 })
}
/** So many calls fail that the target is down. */
async function bringDown(stage: Stage): Promise<void> {
  const one = () => stage.llm.chat.completions.create(ask('one'), { maxRetries: 0 })
  for (let failures = 0; failures < 5; failures += 1) await finish(stage, one())
}

export const scenes: readonly Scene[] = [
  { name: 'create, with a retry', replies: [down, good('fine')], call: create },
  {
    name: 'create, with a fallback',
    replies: [down, down, good('fine')],
    options: { fallbacks: [{ model: 'gpt-other' }] },
    call: create,
    // A fallback is paid from its own target; what the first has paid it does not get back.
  },
  {
    name: 'json, with a re-ask and a repair',
    replies: [good('{"name":3}'), good('```json\n{"name":"Ann","age":"36"}\n```')],
    call: json,
  },
  {
    name: 'a stream, with a retry, read to its end',
    replies: [down, { body: pieces }],
    call: read,
  },
  {
    name: 'a stream that ends before its content, and is asked for again',
    replies: [{ body: pieces.slice(0, 1) }, { body: pieces }],
    call: read,
  },
  {
    name: 'a stream that is not read yet',
    replies: [{ body: pieces }],
    options: { limits: { concurrency: 2 } },
    call: streamed,
    staysOpen: true,
  },
  {
    name: 'a stream of which only the first chunk was read',
    replies: [{ body: pieces }],
    options: { limits: { concurrency: 2 } },
    call: async (stage) => (await streamed(stage))[Symbol.asyncIterator]().next(),
    staysOpen: true,
  },
  {
    name: 'a response whose body is the caller’s',
    replies: [down, good('fine')],
    call: async (stage) => create(stage).asResponse(),
    staysOpen: true,
  },
  {
    name: 'a keyed call',
    replies: [down, answer],
    call: (stage) => json(stage, 'k'),
  },
  {
    name: 'a keyed call, its record in memory',
    replies: [down, answer],
    options: { store: memoryStore() },
    call: (stage) => json(stage, crypto.randomUUID()),
  },
  {
    name: 'a keyed call, with another that has joined it',
    replies: [down, answer],
    call: (stage) => json(stage, 'k'),
    after: (stage) => json(beside(stage), 'k'),
    settled: [2],
  },
  {
    name: 'a keyed call that joins another',
    replies: [down, answer],
    before: (stage) => json(beside(stage), 'k'),
    call: (stage) => json(stage, 'k'),
    settled: [2],
  },
  {
    name: 'a keyed call of two callers who leave together',
    replies: [down, answer],
    async call(stage) {
      const both = [json(stage, 'k'), json(stage, 'k')]
      await Promise.allSettled(both)
      await Promise.all(both)
    },
    settled: [2],
  },
  {
    name: 'a keyed call that another process is at work on',
    replies: [down, answer],
    before: (stage) => json({ ...beside(stage), llm: stage.elsewhere }, 'k'),
    call: (stage) => json(stage, 'k'),
  },
  {
    name: 'a keyed call inside a run',
    replies: [down, answer],
    call: (stage) =>
      stage.llm.run('outer', ({ signal }) => json({ ...stage, signal }, 'k'), {
        signal: stage.signal,
      }),
    settled: [1, 2],
  },
  {
    name: 'a keyed call that is replayed',
    replies: [answer],
    prepare: (stage) => finish(stage, json(beside(stage), 'k')),
    call: (stage) => json(stage, 'k'),
    settled: [2],
  },
  {
    name: 'a keyed run, which nobody may repeat unasked',
    replies: [],
    call: ticket,
    again: ['succeeded', 'outcome_unknown'],
  },
  {
    name: 'runIdempotent',
    replies: [],
    call: ({ store, runtime, signal, clock }) =>
      runIdempotent(
        { store, runtime, signal, operation: 'mail', payload: 1, idempotencyKey: 'k' },
        () => new Promise((resolve) => void clock.outside(10, () => resolve('sent'))),
      ),
    settled: [0],
    again: ['succeeded', 'outcome_unknown'],
  },
  { name: 'a call that waits for a hint', replies: [limited, good('fine')], call: create },
  {
    name: 'a call in line behind another, at a limit set by hand',
    replies: [good('fine')],
    options: { limits: { concurrency: 1 } },
    before: ({ llm }) => llm.chat.completions.create(ask('first')),
    call: create,
    settled: [2],
  },
  {
    name: 'a call with a hedge in flight',
    replies: [good('fine')],
    options: {
      hedge: { delayMs: 3, maxExtraLoad: 1 },
      limits: { concurrency: 2 },
    },
    call: create,
  },
  {
    name: 'a call that is the probe of a target that is down',
    replies: [down, down, down, down, down, good('fine')],
    async prepare(stage) {
      await bringDown(stage)
      const probed = new Promise<void>((resolve) => void stage.clock.outside(600, resolve))
      await finish(stage, probed)
    },
    call: create,
    settled: [6],
  },
  {
    name: 'a call in line for a target that is down',
    replies: [down, down, down, down, down, good('fine')],
    prepare: bringDown,
    call: create,
    settled: [6],
  },
  {
    name: 'a call in line for the end of a hint',
    replies: [limited, good('fine')],
    prepare: (stage) =>
      finish(stage, stage.llm.chat.completions.create(ask('first'), { maxRetries: 0 })),
    call: create,
    settled: [2],
  },
  {
    name: 'run, with a call inside',
    replies: [down, good('fine')],
    call: ({ llm, signal }) =>
      llm.run('outer', (inner) => create({ llm, signal: inner.signal }), { signal }),
    settled: [1, 2],
  },
  {
    name: 'run, with a function that hangs',
    replies: [],
    call: ({ llm, signal }) =>
      llm.run('job', (inner) => hanging(inner.signal), { signal, attemptTimeoutMs: 30 }),
    again: ['timeout', 'timeout'],
  },
  {
    name: 'retry',
    replies: [],
    call: ({ signal, runtime }) =>
      retry(() => Promise.reject(httpError(503)), { signal, runtime, maxAttempts: 3 }),
    settled: [0],
    again: ['status 503'],
  },
]
