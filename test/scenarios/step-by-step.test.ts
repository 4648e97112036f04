import { describe, expect, it } from 'vitest'
import { seeded } from '../../bench/storm/random.ts'
import { type CallEvent, fullJitter, isCallError, type SteadyOptions } from '../../src/index.ts'
import { drive, httpError, world } from './world.ts'

describe('budget and delay, step by step', () => {
  // random is pinned to 0.5: backoff is half of its ceiling, a hint gets half of its spread.
  const step = (status: number, retryAfterS?: number) => ({ status, retryAfterS })
  const times = (count: number, status: number) => Array.from({ length: count }, () => step(status))
  interface Row {
    readonly name: string
    readonly options?: SteadyOptions
    /** What each attempt fails with, in order; after them one succeeds. */
    readonly steps: readonly { readonly status: number; readonly retryAfterS: number | undefined }[]
    /** Before each retry. */
    readonly delays: readonly number[]
    /** Tokens as each attempt begins, and at last when the call has ended. */
    readonly tokens: readonly number[]
    readonly ends?: string
  }
  const rows: readonly Row[] = [
    { name: 'a success earns a tenth', steps: [], delays: [], tokens: [3, 3.1] },
    { name: 'one failure', steps: [step(500)], delays: [250], tokens: [3, 2, 3] },
    {
      name: 'two failures: the last is refunded',
      steps: times(2, 500),
      delays: [250, 500],
      tokens: [3, 2, 1, 2],
    },
    {
      name: 'four failures, one beyond the budget',
      steps: times(4, 500),
      delays: [250, 500, 1_000],
      tokens: [3, 2, 1, 0, 0],
      ends: 'server_error',
    },
    {
      name: 'as many failures as attempts',
      options: { maxAttempts: 3 },
      steps: times(3, 500),
      delays: [250, 500],
      tokens: [3, 2, 1, 1],
      ends: 'server_error',
    },
    {
      name: 'a budget of one token',
      options: { retryBudget: { initial: 1 } },
      steps: times(2, 502),
      delays: [250],
      tokens: [1, 0, 0],
      ends: 'server_error',
    },
    {
      name: 'a budget of none',
      options: { retryBudget: { capacity: 0 } },
      steps: [step(500)],
      delays: [],
      tokens: [0, 0],
      ends: 'server_error',
    },
    {
      name: 'backoff that doubles up to its cap',
      options: { maxAttempts: 10, retryBudget: { initial: 10 }, breaker: false },
      steps: times(9, 500),
      delays: [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000],
      tokens: [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 2],
    },
    {
      name: 'a rate limit without a hint',
      steps: times(2, 429),
      delays: [500, 1_000],
      tokens: [3, 2, 1, 2],
    },
    {
      name: 'a rate limit with one costs nothing',
      steps: [step(429, 4)],
      delays: [5_000],
      tokens: [3, 3, 3],
    },
    {
      name: 'an overload with a hint costs one',
      steps: [step(503, 4), step(503)],
      delays: [5_000, 500],
      tokens: [3, 2, 1, 2],
    },
    {
      name: 'the least and the most that is added to a hint',
      steps: [step(429, 0.1), step(429, 60)],
      delays: [225, 67_500],
      tokens: [3, 3, 3, 3],
    },
    {
      name: 'a timeout costs two',
      steps: [step(408), step(500)],
      delays: [250, 500],
      tokens: [3, 1, 0, 1],
    },
    {
      name: 'two timeouts are more than it starts with',
      steps: times(2, 408),
      delays: [250],
      tokens: [3, 1, 1],
      ends: 'timeout',
    },
    { name: 'a permanent failure', steps: [step(401)], delays: [], tokens: [3, 3], ends: 'auth' },
    {
      name: 'a permanent failure after one that passes',
      steps: [step(500), step(401)],
      delays: [250],
      tokens: [3, 2, 2],
      ends: 'auth',
    },
    {
      name: 'a hint beyond maxRetryAfterMs',
      steps: [step(429, 61)],
      delays: [],
      tokens: [3, 3],
      ends: 'rate_limit',
    },
  ]
  it.each(rows)('$name', async ({ options, steps, delays, tokens, ends = 'good' }) => {
    const events: CallEvent[] = []
    const onEvent = (event: CallEvent) => events.push(event)
    const { llm, clock } = world({ maxAttempts: 6, ...options, onEvent })
    const held = () => llm.targets()[0]?.retryTokens ?? Number.NaN
    const seen: number[] = []
    const work = () => {
      const failure = steps[seen.length]
      seen.push(held())
      if (failure === undefined) return Promise.resolve('good')
      const { status, retryAfterS } = failure
      const hinted = retryAfterS === undefined ? {} : { 'retry-after': String(retryAfterS) }
      return Promise.reject(httpError(status, hinted))
    }
    const outcome = await drive(
      clock,
      llm.run('job', work).catch((error: unknown) => error),
    )
    const waited = events.flatMap((event) =>
      event.type === 'retry-scheduled' ? [event.delayMs] : [],
    )
    expect(waited).toEqual(delays)
    expect([...seen, held()]).toEqual(tokens)
    expect(isCallError(outcome) ? outcome.kind : outcome).toBe(ends)
  })
})

describe('full jitter', () => {
  it.each([
    { retry: 1, ceilingMs: 500 },
    { retry: 4, ceilingMs: 4_000 },
    { retry: 1_000_000, ceilingMs: 20_000 },
  ])('before retry $retry is uniform between 0 and $ceilingMs ms', ({ retry, ceilingMs }) => {
    const random = seeded(retry)
    const draws = Array.from({ length: 100_000 }, () =>
      fullJitter().delayMs({ retry, kind: 'network', previousDelayMs: 0, random }),
    ).toSorted((a, b) => a - b)
    const mean = draws.reduce((sum, delayMs) => sum + delayMs, 0) / draws.length
    expect(Math.abs(mean / (ceilingMs / 2) - 1)).toBeLessThan(0.02)
    // Kolmogorov and Smirnov: how far the share below a delay is from that delay's share.
    const distance = draws.reduce(
      (most, delayMs, index) =>
        Math.max(most, Math.abs(delayMs / ceilingMs - index / draws.length)),
      0,
    )
    // One honest sample in a hundred is farther than 1.63 / √n.
    expect(distance).toBeLessThan(1.63 / Math.sqrt(draws.length))
  })
})
