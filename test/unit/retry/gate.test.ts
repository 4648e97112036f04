import { describe, expect, it } from 'vitest'
import { Gate } from '../../../src/retry/gate.ts'
import { failureOf } from './failures.ts'

describe('Gate', () => {
  it('is open until a rate limit says otherwise', () => {
    expect(new Gate().waitMs(0)).toBe(0)
  })

  it('holds everybody until the hint has passed', () => {
    const gate = new Gate()
    gate.learn(failureOf('rate_limit', { retryAfterMs: 5_000 }), 1_000, 60_000)
    expect(gate.waitMs(1_000)).toBe(5_000)
    expect(gate.waitMs(5_999)).toBe(1)
    expect(gate.waitMs(6_000)).toBe(0)
  })

  it('holds nobody longer than maxRetryAfterMs', () => {
    const gate = new Gate()
    gate.learn(failureOf('rate_limit', { retryAfterMs: 86_400_000 }), 0, 60_000)
    expect(gate.waitMs(0)).toBe(60_000)
  })

  it('remembers how long a wait was told, until it is over', () => {
    const gate = new Gate()
    expect(gate.toldMs(0)).toBe(0)
    gate.learn(failureOf('rate_limit', { retryAfterMs: 8_000 }), 0, 60_000)
    gate.learn(failureOf('rate_limit', { retryAfterMs: 1_000 }), 7_500, 60_000)
    expect([gate.waitMs(8_000), gate.toldMs(8_000)]).toEqual([500, 8_000])
    expect(gate.toldMs(8_500)).toBe(0)
    gate.learn(failureOf('rate_limit', { retryAfterMs: 1_000 }), 9_000, 60_000)
    expect(gate.toldMs(9_000)).toBe(1_000)
  })

  it('is not opened earlier by a later, shorter hint', () => {
    const gate = new Gate()
    gate.learn(failureOf('rate_limit', { retryAfterMs: 5_000 }), 0, 60_000)
    gate.learn(failureOf('rate_limit', { retryAfterMs: 100 }), 1_000, 60_000)
    expect(gate.waitMs(1_000)).toBe(4_000)
  })

  it.each([
    ['a rate limit without a hint', failureOf('rate_limit')],
    ['a request that is too large', failureOf('request_too_large', { retryAfterMs: 5_000 })],
    ['a spent quota', failureOf('quota_exhausted', { retryAfterMs: 5_000 })],
    ['an overload', failureOf('overloaded', { retryAfterMs: 5_000 })],
  ])('is not closed by %s', (_, failure) => {
    const gate = new Gate()
    gate.learn(failure, 0, 60_000)
    expect(gate.waitMs(0)).toBe(0)
  })
})
