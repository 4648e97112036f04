import { describe, expect, it } from 'vitest'
import { seeded } from '../../bench/storm/random.ts'
import { fullJitter, isCallError, type SteadyOptions } from '../../src/index.ts'
import { drive, httpError, world } from './world.ts'

describe('budget and delay, step by step', () => {
  // random is pinned to 0.5: backoff is half of its ceiling, a hint gets a twentieth on top.
  const step = (status: number, retryAfterS?: number) => ({ status, retryAfterS })
  const times = (count: number, status: number) => Array.from({ length: count }, () => step(status))
  interface Row {
    readonly name: string
    readonly options?: SteadyOptions
    /** What each attempt fails with, in order; after them one succeeds. */
    readonly steps: readonly { readonly status: number; readonly retryAfterS: number | undefined }[]
    /** Before each retry. */
    readonly delays: readonly number[]
    readonly ends?: string
  }
  const rows: readonly Row[] = [
    { name: 'a success', steps: [], delays: [] },
    { name: 'one failure', steps: [step(500)], delays: [250] },
    { name: 'two failures', steps: times(2, 500), delays: [250, 500] },
    { name: 'three failures of a cold start', steps: times(3, 500), delays: [250, 500, 1_000] },
    {
      name: 'as many failures as attempts',
      options: { maxAttempts: 3 },
      steps: times(3, 500),
      delays: [250, 500],
      ends: 'server_error',
    },
    {
      name: 'rate limits of a function, which may have run: as many as attempts',
      options: { maxAttempts: 3 },
      steps: times(3, 429),
      delays: [500, 1_000],
      ends: 'rate_limit',
    },
    {
      name: 'five failures in a row: the target is down, and nobody waits for it',
      options: { maxAttempts: 10, maxWaitMs: 0 },
      steps: times(9, 500),
      delays: [250, 500, 1_000, 2_000],
      ends: 'server_error',
    },
    { name: 'a rate limit without a hint', steps: times(2, 429), delays: [500, 1_000] },
    { name: 'a rate limit with one', steps: [step(429, 4)], delays: [4_200] },
    { name: 'an overload with a hint', steps: [step(503, 4), step(503)], delays: [4_200, 500] },
    {
      name: 'a short hint and a long one',
      steps: [step(429, 0.1), step(429, 60)],
      delays: [105, 63_000],
    },
    { name: 'a permanent failure', steps: [step(401)], delays: [], ends: 'auth' },
    {
      name: 'a permanent failure after one that passes',
      steps: [step(500), step(401)],
      delays: [250],
      ends: 'auth',
    },
    {
      name: 'a hint beyond maxWaitMs',
      steps: [step(429, 91)],
      delays: [],
      ends: 'rate_limit',
    },
    {
      name: 'two hints that are beyond it together',
      steps: [step(429, 60), step(429, 60)],
      delays: [63_000],
      ends: 'rate_limit',
    },
  ]
  it.each(rows)('$name', async ({ options, steps, delays, ends = 'good' }) => {
    const { llm, clock } = world({ maxAttempts: 6, ...options })
    const startedAtMs: number[] = []
    const work = () => {
      const failure = steps[startedAtMs.length]
      startedAtMs.push(clock.monotonicMs())
      if (failure === undefined) return Promise.resolve('good')
      const { status, retryAfterS } = failure
      const hinted = retryAfterS === undefined ? {} : { 'retry-after': String(retryAfterS) }
      return Promise.reject(httpError(status, hinted))
    }
    const outcome = await drive(
      clock,
      llm.run('job', work).catch((error: unknown) => error),
    )
    const waited = startedAtMs.slice(1).map((atMs, index) => atMs - (startedAtMs[index] ?? 0))
    expect(waited).toEqual(delays)
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
