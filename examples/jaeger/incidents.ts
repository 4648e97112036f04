import OpenAI from 'openai'
import {
  type CallOptions,
  type CallReport,
  callReport,
  createRuntime,
  type SteadyClient,
  type SteadyOptions,
  steady,
} from 'steadycall'
import {
  cutStream,
  type Fault,
  hangs,
  malformedJson,
  overloaded,
  rateLimited,
  schemaInvalid,
  serverError,
  slow,
  wrongTypes,
} from 'steadycall/testing'

/** A failure of a provider, and the calls that meet it. */
export interface Incident {
  readonly name: string
  /** The faults of each call's requests, in order; then good answers. */
  readonly faults: readonly (readonly Fault[])[]
  readonly settings?: SteadyOptions
  readonly options?: CallOptions
  readonly face?: 'json' | 'stream'
  /** When each later call starts. @default when the call before it has ended */
  readonly starts?: { readonly afterMs: number }
  /** A pause before the last call. */
  readonly pauseMs?: number
  /** The client's `fetch` retries by itself. */
  readonly fetchRetries?: boolean
}

const KEY = { idempotencyKey: 'ticket-4711' }

/** The incidents of a day, in ten seconds. */
export const INCIDENTS: readonly Incident[] = [
  { name: 'rate-limit', faults: [[rateLimited({ retryAfterMs: 1_000 })]] },
  {
    name: 'outage',
    faults: [[overloaded(), overloaded()], [overloaded(), overloaded()], [overloaded()], [], []],
    settings: {
      fallbacks: [{ model: 'gpt-5-nano' }],
      maxAttempts: 3,
    },
    pauseMs: 1_800,
  },
  { name: 'malformed-json', faults: [[malformedJson()]] },
  { name: 'local-repair', faults: [[wrongTypes()]] },
  { name: 'replay', faults: [[], []], options: KEY },
  { name: 'join', faults: [[slow(800)], []], options: KEY, starts: { afterMs: 200 } },
  {
    name: 'deadline',
    faults: [[hangs(), hangs()]],
    options: { attemptTimeoutMs: 1_500, deadlineMs: 2_500 },
  },
  { name: 'long-hint', faults: [[rateLimited({ retryAfterMs: 120_000 })]] },
  {
    name: 'hedge',
    faults: [[slow(30_000)]],
    // A new process has not yet earned any extra requests.
    settings: { hedge: { delayMs: 1_000, maxExtraLoad: 1 } },
  },
  { name: 'cut-stream', faults: [[cutStream({ afterChunks: 3 })]], face: 'stream' },
  { name: 'two-layers', faults: [[serverError()]], fetchRetries: true },
  {
    name: 'slow',
    faults: [
      [rateLimited({ retryAfterMs: 3_000 }), hangs(), slow(1_200, schemaInvalid()), slow(500)],
    ],
    options: { maxAttempts: 4, attemptTimeoutMs: 3_000 },
  },
]

/** Makes the incident's calls, each within `around`, which gets the call's number from 0. */
export async function happen(
  incident: Incident,
  baseURL: string,
  around: <T>(number: number, call: () => Promise<T>) => Promise<T>,
): Promise<readonly CallReport[]> {
  const { faults, settings, starts, pauseMs, fetchRetries } = incident
  const client = new OpenAI({
    apiKey: 'demo',
    baseURL,
    ...(fetchRetries && { fetch: retryingFetch }),
  })
  // A runtime of its own, so that incidents do not affect each other; without randomness, so that
  // each run shows the same.
  const runtime = createRuntime({ random: () => 0.5 })
  const llm = steady(client, { ...settings, runtime })
  const calls: Promise<CallReport>[] = []
  for (const number of faults.keys()) {
    if (starts === undefined) await calls.at(-1)
    else if (number > 0) await wait(starts.afterMs)
    if (pauseMs !== undefined && number === faults.length - 1) await wait(pauseMs)
    calls.push(around(number, () => ask(llm, incident, number)))
  }
  return Promise.all(calls)
}

/** The value of the header by which the fault server recognises a call. */
export function callId({ name }: Incident, number: number): string {
  return `${name} ${number}`
}

async function ask(
  llm: SteadyClient<OpenAI>,
  incident: Incident,
  number: number,
): Promise<CallReport> {
  const { face = 'json', options = {} } = incident
  const headers = { 'x-fault-call': callId(incident, number) }
  const params = {
    model: 'gpt-5-mini',
    messages: [{ role: 'user' as const, content: 'Printer on floor 3 is burning!' }],
  }
  const outcome = async () => {
    if (face === 'json') {
      return llm.json({ ...params, schema: TICKET }, { ...options, requestOptions: { headers } })
    }
    const stream = await llm.chat.completions.create(
      { ...params, stream: true },
      { headers, steady: options },
    )
    for await (const _ of stream);
    return stream
  }
  const report = callReport(await outcome().catch((error: unknown) => error))
  if (report === undefined) throw new Error('the call left no report')
  return report
}

const TICKET = {
  type: 'object',
  properties: {
    subject: { type: 'string' },
    floor: { type: 'integer' },
    priority: { enum: ['low', 'normal', 'urgent'] },
  },
  required: ['subject', 'floor', 'priority'],
  additionalProperties: false,
} as const

/** A well-meant helper: a second layer of retries. */
const retryingFetch: typeof fetch = async (url, init) => {
  const response = await fetch(url, init)
  return response.status === 500 ? fetch(url, init) : response
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
