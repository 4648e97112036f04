import { setImmediate } from 'node:timers/promises'
import type OpenAI from 'openai'
import type { ClientOptions } from 'openai'
import { expect, onTestFinished } from 'vitest'
import {
  type CallError,
  type CallEvent,
  createRuntime,
  isCallError,
  type Runtime,
  type SteadyClient,
  type SteadyOptions,
  steady,
} from '../../src/index.ts'
import {
  type Fault,
  type FaultServer,
  type FaultServerOptions,
  hangs,
  httpError,
  ok,
  startFaultServer,
  type VirtualClock,
  virtualClock,
} from '../../src/testing/index.ts'
import { ask, clientFor, person, rejection } from '../support/set-up.ts'

/** A server and a client over real HTTP, on a clock that moves only while nothing is on the wire. */
export interface Stage {
  readonly clock: VirtualClock
  readonly server: FaultServer
  readonly client: OpenAI
  readonly llm: SteadyClient<OpenAI>
  readonly events: CallEvent[]
  readonly runtime: Runtime
  /** Moves time on, timer by timer, until the work has settled. */
  drive<T>(work: PromiseLike<T>): Promise<T>
  /** Lets requests come and go, and nothing wait any longer. */
  quiet(): Promise<void>
  json(content: string, options?: object): Promise<unknown>
  create(content: string, options?: object): Promise<unknown>
}

export async function stage(
  plan: FaultServerOptions = {},
  options: SteadyOptions = {},
  clientOptions: ClientOptions = {},
): Promise<Stage> {
  const clock = virtualClock()
  const server = await startFaultServer({ clock, ...plan })
  onTestFinished(() => server.close())
  const client = clientFor(server, clientOptions)
  const events: CallEvent[] = []
  const runtime = createRuntime({ clock, random: () => 0 })
  const llm = steady(client, {
    runtime,
    onEvent: (event) => events.push(event),
    ...options,
  })
  const isQuiet = () => llm.targets().every(({ inFlight }) => inFlight === 0)
  const quiet = async () => {
    for (let turns = 0; turns < 3; turns = isQuiet() ? turns + 1 : 0) await setImmediate()
  }
  const drive = async <T>(work: PromiseLike<T>): Promise<T> => {
    let settled = false
    const done = () => {
      settled = true
    }
    work.then(done, done)
    for (;;) {
      await quiet()
      if (settled) return work
      if (clock.pending === 0) throw new Error('nothing is scheduled, and the work has not ended')
      await clock.advanceToNext()
    }
  }
  return {
    clock,
    server,
    client,
    llm,
    events,
    runtime,
    drive,
    quiet,
    json: (content, callOptions) => llm.json({ ...ask(content), schema: person }, callOptions),
    create: (content, callOptions) => llm.chat.completions.create(ask(content), callOptions),
  }
}

/** One fault between two instants of the server's clock, after that all is well. */
export function until(endMs: number, fault: Fault): Fault {
  return {
    name: fault.name,
    apply: (exchange) => (exchange.clock.monotonicMs() < endMs ? fault : ok()).apply(exchange),
  }
}

/** For every request. */
export const always = (fault: Fault): FaultServerOptions => ({
  perCall: () => Array.from({ length: 100 }, () => fault),
})

/** Another call's error, none of which may be told. */
export const secretive = (status: number, headers: Readonly<Record<string, string>> = {}): Fault =>
  httpError(
    status,
    { error: { message: 'SECRET-BODY of another call', type: 'server_error', code: null } },
    { 'x-request-id': 'SECRET-ID', 'x-internal': 'SECRET-HEADER', ...headers },
  )

/** Five calls fail, one after the other: the target is down. */
export async function bringDown(at: Stage): Promise<void> {
  for (let call = 0; call < 5; call += 1) {
    await rejection(at.create(`down ${call}`, { steady: { maxAttempts: 1, maxWaitMs: 0 } }))
  }
  expect(at.llm.targets()).toMatchObject([{ state: 'down' }])
}

/** One call is told to wait: the line is closed. */
export async function close(at: Stage): Promise<void> {
  await rejection(at.create('told to wait', { steady: { maxWaitMs: 0 } }))
  expect(at.llm.targets()[0]?.closedForMs).toBeGreaterThan(0)
}

/** A call that nobody answers takes the one place there is. */
export async function full(options: SteadyOptions = {}): Promise<Stage> {
  const at = await stage({ script: [hangs()] }, { limits: { concurrency: 1 }, ...options })
  const caller = new AbortController()
  const hanging = rejection(at.create('hangs', { signal: caller.signal }))
  onTestFinished(async () => {
    caller.abort()
    await hanging
  })
  while (at.server.count === 0) await setImmediate()
  return {
    ...at,
    // One is in flight all the time: it is never quiet.
    async drive(work) {
      for (let turns = 0; turns < 5; turns += 1) await setImmediate()
      await at.clock.advance(10_000)
      return work
    },
  }
}

export function callErrorOf(error: unknown): CallError {
  if (!isCallError(error)) throw new Error(`no CallError: ${String(error)}`)
  return error
}
