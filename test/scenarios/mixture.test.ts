import type OpenAI from 'openai'
import { describe, expect, it, vi } from 'vitest'
import { type CallReport, callReport, createRuntime, type SteadyClient } from '../../src/index.ts'
import {
  answers,
  cutStream,
  cutStreamBeforeContent,
  errorBodyUnder200,
  type Fault,
  htmlError,
  insufficientQuota,
  overloaded,
  rateLimited,
  resetBeforeResponse,
  resetInBody,
  serverError,
  slow,
  streamErrorEvent,
  truncatedBody,
  truncatedJson,
} from '../../src/testing/index.ts'
import { patientClock } from '../support/patient-clock.ts'
import { ask, person, setUp } from '../support/set-up.ts'

const faults: readonly Fault[] = [
  overloaded(),
  serverError(),
  htmlError(),
  resetBeforeResponse(),
  resetInBody(),
  truncatedBody(),
  errorBodyUnder200(),
  insufficientQuota(),
  rateLimited({ retryAfterMs: 5 }),
  slow(60),
  slow(30, serverError()),
  cutStream(),
  cutStreamBeforeContent(),
  streamErrorEvent({ form: 'content' }),
  answers('{"name":3}'),
  truncatedJson(),
]

/** A json call, keyed or not, a plain one or a stream: how it went. */
async function callOnce(
  llm: SteadyClient<OpenAI>,
  index: number,
  signal: AbortSignal,
  random: () => number,
): Promise<CallReport> {
  const id = `call-${index}`
  const requestOptions = { headers: { 'x-call': id } }
  const kinds = [
    () => {
      const keyed = index % 2 === 0 ? { idempotencyKey: id } : {}
      return llm.json({ ...ask(id), schema: person }, { signal, requestOptions, ...keyed })
    },
    () => llm.chat.completions.create(ask(id), { signal, ...requestOptions }),
    () => llm.chat.completions.create({ ...ask(id), stream: true }, { signal, ...requestOptions }),
  ]
  let told: unknown
  try {
    told = await kinds[index % kinds.length]?.()
    await readSome(told, random)
  } catch (error) {
    told = callReport(error) === undefined ? told : error
  }
  const report = callReport(told)
  if (report === undefined) throw new Error(`${id} has no report`)
  return report
}

/** Reads a stream to its end, or stops somewhere in it. */
async function readSome(answer: unknown, random: () => number): Promise<void> {
  if (typeof answer !== 'object' || answer === null || !(Symbol.asyncIterator in answer)) return
  const stopAfter = random() < 0.2 ? 3 : Number.POSITIVE_INFINITY
  let chunks = 0
  // Only a stream of openai's has the symbol here.
  for await (const _ of answer as AsyncIterable<unknown>) if (++chunks >= stopAfter) break
}

describe('everything at once, under random faults and random aborts', () => {
  it.each([1, 2, 3])('keeps its bounds, its books and its places (seed %i)', async (seed) => {
    let state = seed
    const random = () => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31
      return state / 2 ** 31
    }
    const runtime = createRuntime({ clock: patientClock, random: () => random() * 0.02 })
    const { server, llm } = await setUp(
      { mixture: { seed, rate: 0.5, faults }, callOf: ({ headers }) => `${headers['x-call']}` },
      {
        runtime,
        limits: { concurrency: 12 },
        hedge: { delayMs: 15, maxExtraLoad: 1 },
        fallbacks: [{ model: 'gpt-other' }],
        maxAttempts: 4,
        chunkIdleTimeoutMs: 500,
      },
    )
    const reports = await Promise.all(
      Array.from({ length: 150 }, async (_, index) => {
        const caller = new AbortController()
        if (random() < 0.2) patientClock.schedule(random() * 120, () => caller.abort())
        const report = await callOnce(llm, index, caller.signal, random)
        const numbers = report.attempts.map(({ number }) => number)
        expect(numbers).toEqual(numbers.map((__, place) => place + 1))
        expect(numbers.length).toBeLessThanOrEqual(4)
        return [`call-${index}`, numbers.length] as const
      }),
    )
    // An attempt that was aborted before its request left is in the report, but not at the server.
    for (const [id, attempts] of reports) {
      expect(server.requestsFor(id).length).toBeLessThanOrEqual(attempts)
    }
    const { length: sent } = server.requests
    const told = reports.reduce((sum, [, attempts]) => sum + attempts, 0)
    expect(told - sent).toBeLessThan(40)
    await vi.waitFor(() => {
      for (const { inFlight, waiting } of llm.targets()) expect([inFlight, waiting]).toEqual([0, 0])
    })
    expect(runtime.shared.flights.size).toBe(0)
  })
})
