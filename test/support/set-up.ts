import OpenAI, { type ClientOptions } from 'openai'
import { onTestFinished } from 'vitest'
import {
  createRuntime,
  fixed,
  type Runtime,
  type SteadyClient,
  type SteadyOptions,
  steady,
} from '../../src/index.ts'
import {
  type FaultServer,
  type FaultServerOptions,
  startFaultServer,
} from '../../src/testing/index.ts'
import { patientClock } from './patient-clock.ts'

export interface SetUp {
  readonly server: FaultServer
  /** The real openai client, with the SDK's own defaults unless the test says otherwise. */
  readonly client: OpenAI
  readonly llm: SteadyClient<OpenAI>
}

/**
 * A fault server, a real client against it, and that client wrapped, in a runtime of the test's
 * own. Backoff costs no time, unless the test says otherwise; hints, and the probes of a target that is
 * down, are real.
 */
export async function setUp(
  plan: FaultServerOptions = {},
  options: SteadyOptions = {},
  clientOptions: ClientOptions = {},
): Promise<SetUp> {
  const server = await startServer(plan)
  const client = clientFor(server, clientOptions)
  const llm = steady(client, { runtime: patientRuntime(), backoff: fixed(0), ...options })
  return { server, client, llm }
}

/** In patient time, as the server of `startServer`; the least jitter. */
export function patientRuntime(): Runtime {
  return createRuntime({ clock: patientClock, random: () => 0 })
}

export async function startServer(plan: FaultServerOptions = {}): Promise<FaultServer> {
  const server = await startFaultServer({ clock: patientClock, ...plan })
  onTestFinished(() => server.close())
  return server
}

export function clientFor(server: FaultServer, options: ClientOptions = {}): OpenAI {
  return new OpenAI({ apiKey: 'sk-test', baseURL: server.baseURL, ...options })
}

export function ask(content: string) {
  return { model: 'gpt-test', messages: [{ role: 'user' as const, content }] }
}

/** What a promise rejects with. */
export async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('expected a rejection')
}

export const person = {
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer' } },
  required: ['name', 'age'],
  additionalProperties: false,
} as const
