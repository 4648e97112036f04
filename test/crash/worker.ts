import { setTimeout as pause } from 'node:timers/promises'
import OpenAI from 'openai'
import {
  createRuntime,
  isCallError,
  type RunContext,
  runIdempotent,
  type Store,
  steady,
} from '../../src/index.ts'
import { type DyingStoreOptions, dyingStore } from './dying-store.ts'
import { openStore, type StoreAddress } from './open-store.ts'

/** What a process of its own is to do: given as JSON in its first argument. */
export interface Work extends DyingStoreOptions {
  readonly store: StoreAddress
  readonly baseURL: string
  readonly key: string
  readonly face: 'json' | 'guard'
  readonly onUncertain?: 'rerun' | 'fail'
  readonly attemptTimeoutMs?: number
  /** How many callers at once, each after a random pause of up to so long. @default 1 */
  readonly callers?: { readonly count: number; readonly pauseMs: number }
}

/** How it went for one caller: a line of JSON each. */
export interface Told {
  readonly startedAtMs: number
  readonly endedAtMs: number
  /** The answer as it came: its bytes are what is compared. */
  readonly answer?: string
  readonly source?: string
  readonly persisted?: boolean
  /** The kind of the error, where it failed. */
  readonly kind?: string
  readonly executed?: string
}

/** One caller, in this process. */
export async function callOnce(work: Work, store: Store, runtime = createRuntime()): Promise<Told> {
  const startedAtMs = Date.now()
  const ended = () => ({ startedAtMs, endedAtMs: Date.now() })
  try {
    const told = await (work.face === 'json'
      ? askForJson(work, store, runtime)
      : guarded(work, store, runtime))
    return { ...ended(), ...told }
  } catch (error) {
    if (!isCallError(error)) throw error
    return { ...ended(), kind: error.kind, executed: error.executed }
  }
}

type Outcome = Pick<Told, 'answer' | 'source' | 'persisted'>

async function askForJson(
  { baseURL, key, onUncertain, attemptTimeoutMs }: Work,
  store: Store,
  runtime: ReturnType<typeof createRuntime>,
): Promise<Outcome> {
  const llm = steady(new OpenAI({ apiKey: 'sk-test', baseURL }), { store, runtime })
  const schema = {
    type: 'object',
    properties: { answer: { type: 'string' } },
    required: ['answer'],
  } as const
  const { value, completion, source, persisted } = await llm.json(
    { model: 'gpt-test', messages: [{ role: 'user', content: `who? ${key}` }], schema },
    {
      idempotencyKey: key,
      ...(onUncertain !== undefined && { onUncertain }),
      ...(attemptTimeoutMs !== undefined && { attemptTimeoutMs }),
    },
  )
  return { answer: JSON.stringify([value, completion]), source, persisted }
}

/** A side effect: whatever goes to the server is one. */
async function guarded(
  { baseURL, key, onUncertain }: Work,
  store: Store,
  runtime: ReturnType<typeof createRuntime>,
): Promise<Outcome> {
  const options = {
    store,
    runtime,
    operation: 'ticket',
    payload: { key },
    idempotencyKey: key,
    ...(onUncertain !== undefined && { onUncertain }),
  }
  const order = async ({ signal }: RunContext) => {
    const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: key }] })
    const headers = { 'content-type': 'application/json' }
    const url = `${baseURL}/chat/completions`
    const response = await fetch(url, { method: 'POST', headers, body, signal })
    if (!response.ok) throw new Error(`status ${response.status}`)
    return response.text()
  }
  return { answer: await runIdempotent(options, order) }
}

async function main(work: Work): Promise<void> {
  const { store, close } = await openStore(work.store)
  const mortal = dyingStore(store, work)
  const runtime = createRuntime()
  const { count, pauseMs } = work.callers ?? { count: 1, pauseMs: 0 }
  let asking = 0
  let hasClaimed = false
  const sayWhenAllWait = () => {
    if (asking === count && hasClaimed) process.send?.('all wait')
  }
  const observed: Store = {
    ...mortal,
    async claim(request) {
      const claimed = await mortal.claim(request)
      hasClaimed = true
      sayWhenAllWait()
      return claimed
    },
  }
  await Promise.all(
    Array.from({ length: count }, async () => {
      await pause(Math.random() * pauseMs)
      const answer = callOnce(work, observed, runtime)
      asking += 1
      sayWhenAllWait()
      process.stdout.write(`${JSON.stringify(await answer)}\n`)
    }),
  )
  await close()
}

const [, program, argument] = process.argv
if (program === import.meta.filename && argument !== undefined) await main(JSON.parse(argument))
