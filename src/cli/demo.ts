import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import OpenAI from 'openai'
import { createRuntime, type Runtime } from '../index.ts'
import { type FaultServer, startFaultServer } from '../testing/index.ts'
import { askBare, askSteady, type BareAnswer, type SteadyOutcome } from './clients.ts'
import { type CommandContext, readOptions, type Terminal, UsageError } from './command.ts'
import { endingOf, explainBare, explainCall } from './explain.ts'
import { meetOutage, type OutageResult } from './outage.ts'
import {
  type BareResult,
  type FinishedCall,
  formatCalls,
  formatComparison,
  formatHeading,
  formatOutage,
  formatTotals,
  formatUnexpected,
  isAsExpected,
  totalsOf,
} from './render.ts'
import {
  GOOD_ANSWER,
  groupScenarios,
  LIVE_TICKETS,
  SCENARIOS,
  type Scenario,
  TICKET_TEXT,
} from './scenarios.ts'

export const DEMO_USAGE: string = `steadycall demo: the same faults, with and without steadycall.

Starts a fault server on this machine, extracts a support ticket ${SCENARIOS.length} times through
a real openai client, with and without steadycall, and draws what happened to each call.
In addition, thirty calls meet an outage of three seconds.

  --seed N   seed for the random part of each wait; equal seeds give equal waits  [1]
  --json     prints one JSON document instead
  --live     calls a real provider instead, without faults: a few structured calls;
             reads OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL
  --help     prints this help

Exits with 0 if every call ended as expected, otherwise with 1.
`

const OPTIONS = {
  seed: { type: 'string', default: '1' },
  json: { type: 'boolean', default: false },
  live: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const

/** Runs the demo; the exit code says whether every call ended as expected. */
export async function demo(args: readonly string[], context: CommandContext): Promise<number> {
  const { terminal } = context
  const { values } = readOptions(Object.keys(OPTIONS), () =>
    parseArgs({ args: [...args], options: OPTIONS }),
  )
  if (values.help) {
    terminal.write(DEMO_USAGE)
    return 0
  }
  const seed = readSeed(values.seed)
  const live = values.live ? liveProvider(context.env) : undefined
  const where = live === undefined ? 'a fault server on this machine' : `the model ${live.model}`
  if (!values.json) {
    const note = `support tickets as JSON, from ${where}, seed ${seed}`
    terminal.write(formatHeading('steadycall demo', note, terminal))
  }
  const results =
    live === undefined
      ? await meetFaults(seed, context)
      : await askLive(live, seeded(seed, 'live'), context)
  if (!values.json) show(results, terminal)
  // After the other calls, which would otherwise use up part of the outage's three seconds.
  const outage =
    live === undefined ? await meetOutage(MODEL, seeded(seed, 'outage'), context.signal) : undefined
  if (values.json) {
    terminal.write(`${JSON.stringify(toDocument(seed, results, outage), null, 2)}\n`)
  } else if (outage !== undefined) showOutage(outage, terminal)
  const survived = outage === undefined || outage.steady.valid === outage.calls
  return survived && results.every(isAsExpected) ? 0 : 1
}

const LANES = 4
const MODEL = 'gpt-demo'

async function meetFaults(
  seed: number,
  { terminal, signal }: CommandContext,
): Promise<readonly FinishedCall[]> {
  const server = await startFaultServer({
    answer: JSON.stringify(GOOD_ANSWER),
    perCall: (callId) => faultsOf(callId),
  })
  try {
    const run: DemoRun = { server, seed, signal, steady: clientOf(server), bare: clientOf(server) }
    await warmUp(run)
    const done = { steady: 0, bare: 0 }
    const watched = async <T>(side: keyof typeof done, call: Promise<T>): Promise<T> => {
      const result = await call
      done[side] += 1
      const counts = `${done.steady} with steadycall, ${done.bare} without`
      terminal.progress(`  ${SCENARIOS.length} calls, each made twice: ${counts} …`)
      return result
    }
    const steadily: Watched = (call) => watched('steady', call)
    const [steady, bare] = await Promise.all([
      inLanes(groupScenarios(SCENARIOS), (group) => runGroup(run, group, steadily)),
      inLanes(SCENARIOS, (scenario) => watched('bare', runBare(run, scenario))),
    ])
    signal.throwIfAborted()
    return steady.flat().map((outcome, index) => toResult(run, index, outcome, bare[index]))
  } finally {
    await server.close()
  }
}

interface DemoRun {
  readonly server: FaultServer
  readonly seed: number
  readonly signal: AbortSignal
  /** Two clients, so that neither benefits from the connections of the other. */
  readonly steady: OpenAI
  readonly bare: OpenAI
}

/** Counts the call when it has ended. */
type Watched = <T>(call: Promise<T>) => Promise<T>

interface TimedBareAnswer extends BareAnswer {
  readonly durationMs: number
}

function clientOf(server: FaultServer): OpenAI {
  return new OpenAI({ apiKey: 'sk-demo', baseURL: server.baseURL, logLevel: 'off' })
}

function steadyId(name: string): string {
  return `steady/${name}`
}

function bareId(name: string): string {
  return `bare/${name}`
}

function faultsOf(callId: string): Scenario['faults'] {
  const name = callId.slice(callId.indexOf('/') + 1)
  return SCENARIOS.find((scenario) => scenario.name === name)?.faults ?? []
}

/**
 * Loads everything that is loaded on first use and opens the connections, so that the first timelines show only
 * their calls.
 */
async function warmUp({ server, signal, steady, bare }: DemoRun): Promise<void> {
  const request = { model: MODEL, text: TICKET_TEXT, callId: 'warm-up', signal }
  const scenario: Scenario = { name: 'warm-up', faults: [], expected: 'success' }
  const both = Array.from({ length: LANES }, () => [
    askSteady(steady, createRuntime(), scenario, request),
    askBare(bare, scenario, request),
  ])
  await Promise.all(both.flat())
  signal.throwIfAborted()
  server.reset()
}

/** Runs a group of calls in a runtime of its own, so that no call is affected by the faults of another group. */
async function runGroup(
  run: DemoRun,
  group: readonly Scenario[],
  watched: Watched,
): Promise<readonly SteadyOutcome[]> {
  const runtime = createRuntime({ random: seeded(run.seed, group[0]?.name ?? '') })
  const calls: Promise<SteadyOutcome>[] = []
  for (const scenario of group) {
    if (scenario.starts === 'after-previous') await Promise.all(calls)
    calls.push(watched(runSteady(run, runtime, scenario)))
  }
  return Promise.all(calls)
}

function runSteady(run: DemoRun, runtime: Runtime, scenario: Scenario): Promise<SteadyOutcome> {
  const { signal } = run
  const callId = steadyId(scenario.name)
  const request = { model: MODEL, text: TICKET_TEXT, callId, signal }
  return askSteady(run.steady, runtime, scenario, request)
}

async function runBare({ bare, signal }: DemoRun, scenario: Scenario): Promise<TimedBareAnswer> {
  const { clock } = createRuntime()
  const startedMs = clock.monotonicMs()
  const callId = bareId(scenario.name)
  const request = { model: MODEL, text: TICKET_TEXT, callId, signal }
  const answer = await askBare(bare, scenario, request)
  return { ...answer, durationMs: clock.monotonicMs() - startedMs }
}

function toResult(
  { server }: DemoRun,
  index: number,
  outcome: SteadyOutcome,
  bareAnswer: TimedBareAnswer | undefined,
): FinishedCall {
  const scenario = SCENARIOS[index]
  if (scenario === undefined || bareAnswer === undefined) throw new Error('a call was lost')
  const { name, expected, blame } = scenario
  const requests = server.requestsFor(bareId(name)).length
  const paidBefore = scenario.starts !== undefined
  const bare: BareResult = {
    ...bareAnswer,
    valid: bareAnswer.problem === undefined,
    requests,
    explanation: explainBare({
      ...bareAnswer,
      requests,
      paidBefore,
      ...(blame !== undefined && { blame }),
    }),
  }
  return {
    ...outcome,
    name,
    expected,
    ending: endingOf(outcome),
    explanation: explainCall(outcome),
    requests: server.requestsFor(steadyId(name)).length,
    bare,
  }
}

function show(results: readonly FinishedCall[], terminal: Terminal): void {
  const totals = totalsOf(results)
  terminal.write(formatCalls(results, terminal))
  if (totals.bare !== undefined) {
    const note = 'openai alone, JSON.parse, a schema check'
    terminal.write(formatHeading('The same faults without it', note, terminal))
    terminal.write(formatComparison(results, terminal))
  }
  terminal.write(formatHeading('In all', `${totals.calls} calls`, terminal))
  terminal.write(`${formatTotals(totals, terminal)}\n`)
  terminal.write(formatUnexpected(results, terminal))
}

function showOutage(outage: OutageResult, terminal: Terminal): void {
  const seconds = `${outage.outageMs / 1_000} s`
  const note = `${outage.calls} calls at once, every request answered 503 for ${seconds}`
  terminal.write(formatHeading(`An outage of ${seconds}`, note, terminal))
  terminal.write(formatOutage(outage, terminal))
}

/** All results of the run in machine-readable form. */
function toDocument(
  seed: number,
  results: readonly FinishedCall[],
  outage: OutageResult | undefined,
): unknown {
  return {
    seed,
    ...(outage !== undefined && { outage }),
    asExpected: results.every(isAsExpected),
    totals: totalsOf(results),
    calls: results.map(({ report, ...call }) => ({ ...call, outcome: report.outcome, report })),
  }
}

function readSeed(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new UsageError(`--seed must be a whole number from 0, got '${text.slice(0, 40)}'`)
}

/** Random numbers in [0, 1) that depend only on the seed and the name, whatever else runs. */
function seeded(seed: number, name: string): () => number {
  let drawn = 0
  return () => {
    drawn += 1
    const digest = createHash('sha256').update(`${seed} ${drawn} ${name}`).digest()
    return digest.readUInt32BE(0) / 2 ** 32
  }
}

/** Processes the items in order, a few at a time; the results are in the order of the items. */
async function inLanes<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = []
  const queue = items.entries()
  const lane = async () => {
    for (const [index, item] of queue) results[index] = await work(item)
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return results
}

const DEFAULT_MODEL = 'gpt-5-mini'

/** A real provider, and the model to use. */
export interface LiveProvider {
  readonly client: OpenAI
  readonly model: string
}

/**
 * The provider configured in the environment: OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL.
 *
 * @throws UsageError if OPENAI_API_KEY is not set.
 */
export function liveProvider(env: CommandContext['env']): LiveProvider {
  const apiKey = env['OPENAI_API_KEY']
  if (!apiKey) {
    throw new UsageError(
      '--live calls a real provider: set OPENAI_API_KEY (and OPENAI_BASE_URL unless it is OpenAI)',
    )
  }
  // null, because with undefined the SDK would read OPENAI_BASE_URL from the process's own environment.
  const client = new OpenAI({ apiKey, baseURL: env['OPENAI_BASE_URL'] || null, logLevel: 'off' })
  return { client, model: env['OPENAI_MODEL'] || DEFAULT_MODEL }
}

/** Extracts a few tickets with a real provider, all at the same time in one runtime. */
export async function askLive(
  { client, model }: LiveProvider,
  random: () => number,
  { signal, terminal }: CommandContext,
): Promise<readonly FinishedCall[]> {
  const runtime = createRuntime({ random })
  let done = 0
  const results = await Promise.all(
    LIVE_TICKETS.map(async ({ name, text }): Promise<FinishedCall> => {
      const callId = `live/${name}`
      const outcome = await askSteady(client, runtime, {}, { model, text, callId, signal })
      done += 1
      terminal.progress(`  ${done} of ${LIVE_TICKETS.length} calls …`)
      return {
        ...outcome,
        name,
        expected: 'success',
        ending: endingOf(outcome),
        explanation: explainCall(outcome),
        requests: outcome.report.attempts.reduce((sum, one) => sum + (one.wireRequests ?? 1), 0),
      }
    }),
  )
  signal.throwIfAborted()
  return results
}
