import { describe, expect, it } from 'vitest'
import type { FailureKind } from '../../../src/errors/failure-kinds.ts'
import {
  type Backoff,
  decorrelatedJitter,
  drawDelayMs,
  equalJitter,
  exponential,
  fixed,
  fullJitter,
} from '../../../src/retry/backoff.ts'

function delay(
  backoff: Backoff,
  retry: number,
  drawn: number,
  {
    kind = 'server_error',
    previousDelayMs = 0,
  }: { kind?: FailureKind; previousDelayMs?: number } = {},
): number {
  return backoff.delayMs({ retry, kind, previousDelayMs, random: () => drawn })
}

describe('fullJitter', () => {
  it.each([
    { retry: 1, drawn: 0, expected: 0 },
    { retry: 1, drawn: 0.5, expected: 250 },
    { retry: 2, drawn: 0.5, expected: 500 },
    { retry: 6, drawn: 0.5, expected: 8_000 },
    { retry: 7, drawn: 0.5, expected: 10_000 },
    { retry: 1_000_000, drawn: 0.5, expected: 10_000 },
  ])(
    'waits $expected ms before retry $retry when $drawn is drawn',
    ({ retry, drawn, expected }) => {
      expect(delay(fullJitter(), retry, drawn)).toBe(expected)
    },
  )

  it('starts a rate limit at a second instead of half a second', () => {
    expect(delay(fullJitter(), 1, 0.5, { kind: 'rate_limit' })).toBe(500)
  })

  it('takes its own base and cap', () => {
    const backoff = fullJitter({ baseMs: 100, rateLimitBaseMs: 300, capMs: 350 })
    expect(delay(backoff, 1, 0.5)).toBe(50)
    expect(delay(backoff, 3, 0.5)).toBe(175)
    expect(delay(backoff, 1, 0.5, { kind: 'rate_limit' })).toBe(150)
  })

  it('stays 0 with a base of 0 where the power of two has overflowed', () => {
    expect(delay(fullJitter({ baseMs: 0 }), 5_000, 0.5)).toBe(0)
  })
})

describe('the other backoffs', () => {
  it('equalJitter waits at least half of the exponential delay', () => {
    expect(delay(equalJitter(), 2, 0)).toBe(500)
    expect(delay(equalJitter(), 2, 0.5)).toBe(750)
  })

  it('decorrelatedJitter grows from what was waited before', () => {
    expect(delay(decorrelatedJitter(), 1, 0.5)).toBe(1_000)
    expect(delay(decorrelatedJitter(), 9, 0.5, { previousDelayMs: 4_000 })).toBe(6_250)
    expect(delay(decorrelatedJitter(), 9, 0.999, { previousDelayMs: 20_000 })).toBe(20_000)
  })

  it('decorrelatedJitter obeys a cap below its base', () => {
    expect(delay(decorrelatedJitter({ capMs: 100 }), 1, 0.5)).toBe(100)
  })

  it('fixed always waits the same', () => {
    expect(delay(fixed(1_234), 1, 0.5)).toBe(1_234)
    expect(delay(fixed(1_234), 9, 0)).toBe(1_234)
  })

  it('exponential draws nothing', () => {
    expect(delay(exponential(), 3, 0)).toBe(2_000)
    expect(delay(exponential(), 100, 0)).toBe(20_000)
  })
})

describe('options', () => {
  it.each([
    [
      { baseMs: -1 },
      RangeError,
      'fullJitter: baseMs is -1; accepted is a number from 0 to 2147483647',
    ],
    [{ capMs: Infinity }, RangeError, 'fullJitter: capMs is Infinity; accepted is'],
    [{ rateLimitBaseMs: Number.NaN }, TypeError, 'fullJitter: rateLimitBaseMs is NaN; accepted is'],
    [{ baseMs: '500' }, TypeError, 'fullJitter: baseMs is "500"; accepted is'],
    [{ base: 1 }, TypeError, 'unknown option "base"; accepted are baseMs, rateLimitBaseMs, capMs'],
    [null, TypeError, 'fullJitter: the options are null; an object is accepted'],
  ])('refuses %j and says what it accepts', (options, kind, message) => {
    // What a caller without types may pass.
    const attempt = () => fullJitter(options as object)
    expect(attempt).toThrow(kind)
    expect(attempt).toThrow(message)
  })

  it('takes undefined for the default', () => {
    expect(delay(fullJitter({ baseMs: undefined }), 1, 0.5)).toBe(250)
  })

  it.each([[-1], [Number.NaN], [undefined]])('refuses fixed(%s)', (delayMs) => {
    // What a caller without types may pass.
    expect(() => fixed(delayMs as number)).toThrow('fixed: delayMs is')
  })
})

describe('drawDelayMs', () => {
  const step = {
    retry: 1,
    kind: 'network',
    previousDelayMs: 0,
    random: () => 0.5,
    isDown: false,
    slowMs: 0,
    leftMs: 90_000,
    waitedMs: 0,
    isLast: false,
  } as const

  it.each([
    [
      'throws',
      () => {
        throw new Error('bug')
      },
    ],
    ['returns NaN', () => Number.NaN],
    ['returns a negative number', () => -5],
    ['never ends', () => Infinity],
  ])("waits as by default when the user's backoff %s", (_, delayMs) => {
    expect(drawDelayMs({ delayMs }, step)).toBe(250)
  })

  it.each([
    { isDown: false, slowMs: 0 },
    { isDown: true, slowMs: 0 },
    { isDown: false, slowMs: 9_000 },
    { isDown: true, isLast: true, leftMs: 1_000 },
    { isDown: false, leftMs: 70 },
  ])("obeys the user's backoff otherwise, with %j too", (over) => {
    expect(drawDelayMs({ delayMs: () => 77 }, { ...step, ...over })).toBe(77)
  })

  it.each([
    { retry: 1, drawn: 0.5, expected: 250 },
    { retry: 4, drawn: 0.5, expected: 2_000 },
    { retry: 5, drawn: 0.5, expected: 2_500 },
    { retry: 1_000_000, drawn: 0.5, expected: 2_500 },
    { retry: 9, drawn: 0, expected: 0 },
  ])('is $expected ms by default before retry $retry when $drawn is drawn: up to 5 s', (given) => {
    const { retry, drawn, expected } = given
    expect(drawDelayMs(undefined, { ...step, retry, random: () => drawn })).toBe(expected)
  })

  it('grows by default up to 20 s while the target is down, and never to nothing by chance', () => {
    const delayMs = (retry: number, drawn: number) =>
      Math.round(drawDelayMs(undefined, { ...step, retry, isDown: true, random: () => drawn }))
    expect([1, 2, 3, 8].map((retry) => delayMs(retry, 0))).toEqual([450, 810, 1_458, 20_000])
    expect([1, 2, 3, 8].map((retry) => delayMs(retry, 1))).toEqual([338, 608, 1_094, 15_000])
  })

  it.each([0, 1])('outlasts 90 s with eleven retries while it is down ($0 drawn)', (drawn) => {
    let leftMs = 90_000
    for (let retry = 1; retry <= 11 && leftMs >= 500; retry += 1) {
      const given = { ...step, retry, leftMs, isDown: true, isLast: retry === 11 }
      leftMs -= drawDelayMs(undefined, { ...given, random: () => drawn })
    }
    expect(leftMs).toBeLessThan(5_000)
    expect(leftMs).toBeGreaterThanOrEqual(0)
  })

  it.each([
    { isDown: false, leftMs: 90_000, retry: 2, expected: 6_000 },
    { isDown: true, leftMs: 20_000, retry: 2, expected: 4_000 },
    { isDown: true, leftMs: 60_000, retry: 11, expected: 20_000 },
    { isDown: true, leftMs: 500_000, waitedMs: 80_000, retry: 11, expected: 80_000 },
  ])('waits $expected ms before the last request, in %j', (given) => {
    const { expected, ...over } = given
    const delayMs = (drawn: number) =>
      drawDelayMs(undefined, { ...step, ...over, isLast: true, random: () => drawn })
    expect(Math.round(delayMs(0))).toBe(expected)
    expect(Math.round(delayMs(1))).toBe(Math.round(expected * 0.75))
  })

  it('ends before the call may wait no longer, but for the last half second', () => {
    const delayMs = (leftMs: number) =>
      drawDelayMs(undefined, { ...step, retry: 9, leftMs, isDown: true, random: () => 0 })
    expect([30_000, 20_100, 5_000, 500, 499].map(delayMs)).toEqual([
      20_000, 20_000, 4_900, 400, 20_000,
    ])
  })

  it('is finite after any number of retries', () => {
    const delayMs = drawDelayMs(undefined, { ...step, retry: 1e9, isDown: true })
    expect(delayMs).toBeLessThan(2 ** 52)
  })

  it.each([
    { slowMs: 4_000, drawn: 0, expected: 2_000 },
    { slowMs: 4_000, drawn: 0.5, expected: 4_250 },
    { slowMs: 600_000, drawn: 0.5, expected: 10_250 },
  ])('adds what a timeout took, up to ten seconds: $expected ms after $slowMs', (given) => {
    const { slowMs, drawn, expected } = given
    expect(drawDelayMs(undefined, { ...step, slowMs, random: () => drawn })).toBe(expected)
    expect(drawDelayMs(undefined, { ...step, slowMs, isDown: true, random: () => drawn })).toBe(
      expected,
    )
  })
})
