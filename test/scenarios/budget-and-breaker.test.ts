import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { isCallError } from '../../src/index.ts'
import { rejection } from '../support/set-up.ts'
import { drive, httpError, pending, settle, type World, world } from './world.ts'

const DOWN = () => Promise.reject(httpError(500))

async function fail(at: World, times: number, work: () => Promise<unknown> = DOWN): Promise<void> {
  for (let index = 0; index < times; index += 1) {
    await drive(at.clock, rejection(at.llm.run('job', work, { maxAttempts: 1 })))
  }
}

async function succeed(at: World, times = 1): Promise<void> {
  for (let index = 0; index < times; index += 1) await at.llm.run('job', () => 'good')
}

/** Opens the breaker of `job` and lets its rest pass: the next call is its probe. */
async function halfOpen(at: World): Promise<void> {
  await fail(at, 8)
  expect(at.target('job').breaker).toBe('open')
  await at.clock.advance(at.target('job').breakerOpenForMs)
  expect(at.target('job').breaker).toBe('half-open')
}

describe('the retry budget', () => {
  it('of an outage: retries sent are those it started with, and not one more', async () => {
    const at = world({ breaker: false })
    let sent = 0
    const work = () => {
      sent += 1
      return DOWN()
    }
    for (let call = 0; call < 50; call += 1) {
      await drive(at.clock, rejection(at.llm.run('job', work)))
    }
    expect(sent).toBe(50 + 3)
    expect(at.target('job').retryTokens).toBe(0)
  })

  it('earned by first attempts that succeed: retries that failed never cost more than that', async () => {
    const at = world({ breaker: false })
    let sent = 0
    await succeed(at, 40)
    expect(at.target('job').retryTokens).toBe(7)
    const work = () => {
      sent += 1
      return DOWN()
    }
    for (let call = 0; call < 30; call += 1) {
      await drive(at.clock, rejection(at.llm.run('job', work)))
    }
    // Equality is reached: the bound is not a matter of slack.
    expect(sent - 30).toBe(3 + 0.1 * 40)
  })

  it('refunds a retry that succeeds, once', async () => {
    const at = world()
    const before = 3
    let attempts = 0
    const work = () => (attempts++ === 0 ? DOWN() : Promise.resolve('good'))
    await drive(at.clock, at.llm.run('job', work))
    expect(at.target('job').retryTokens).toBe(before)
  })

  it('refunds a retry whose wait is aborted, once', async () => {
    const at = world()
    const caller = new AbortController()
    const call = rejection(at.llm.run('job', DOWN, { signal: caller.signal }))
    await settle()
    expect(at.target('job').retryTokens).toBe(2)
    caller.abort()
    await call
    expect(at.target('job').retryTokens).toBe(3)
    expect(at.clock.pending).toBe(0)
  })

  it('of one call: only the last retry is refunded when a later one succeeds', async () => {
    const at = world()
    let attempts = 0
    const work = () => (attempts++ < 2 ? DOWN() : Promise.resolve('good'))
    await drive(at.clock, at.llm.run('job', work))
    expect(at.target('job').retryTokens).toBe(2)
  })

  it('when empty: the error comes at once, without a timer, and has the provider’s as its cause', async () => {
    const at = world({ retryBudget: { initial: 0 } })
    const thrown = httpError(500)
    const error = await rejection(at.llm.run('job', () => Promise.reject(thrown)))
    expect(error).toMatchObject({ kind: 'server_error', reason: 'retry_budget', status: 500 })
    expect(isCallError(error) && error.cause).toBe(thrown)
    expect(at.clock.monotonicMs()).toBe(0)
    expect(at.clock.pending).toBe(0)
  })
})

describe('the circuit breaker', () => {
  it('does not count failures older than 30 s, after any idle gap', async () => {
    const at = world({ breaker: { failuresInARow: 20 } })
    await fail(at, 9)
    await at.clock.advance(3_600_000)
    await fail(at, 9)
    await at.clock.advance(1_000)
    expect(at.target('job').breaker).toBe('closed')
    await fail(at, 1)
    expect(at.target('job').breaker).toBe('open')
  })

  it('half-open, met by 1000 calls at once: one is in flight, the others fail in the same tick', async () => {
    const at = world({ maxAttempts: 1 })
    await halfOpen(at)
    const { promise, resolve } = pending<string>()
    let inFlight = 0
    const calls = Array.from({ length: 1_000 }, () =>
      at.llm
        .run('job', () => {
          inFlight += 1
          return promise
        })
        .catch((error: unknown) => (isCallError(error) ? error.kind : error)),
    )
    const early = Promise.all(calls.slice(1))
    await setImmediate()
    expect(inFlight).toBe(1)
    expect(new Set(await early)).toEqual(new Set(['circuit_open']))
    resolve('probed')
    expect(await calls[0]).toBe('probed')
  })

  it('admits the next probe at once when one is aborted', async () => {
    const at = world({ maxAttempts: 1 })
    await halfOpen(at)
    const caller = new AbortController()
    const gone = rejection(
      at.llm.run('job', () => new Promise(() => {}), { signal: caller.signal }),
    )
    await settle()
    expect(await rejection(at.llm.run('job', () => 'refused'))).toMatchObject({
      kind: 'circuit_open',
    })
    caller.abort()
    await gone
    expect(await at.llm.run('job', () => 'next')).toBe('next')
  })

  it('admits the next probe after the lease when one never settles', async () => {
    const at = world({ maxAttempts: 1, attemptTimeoutMs: 300_000 })
    await halfOpen(at)
    const hanging = rejection(at.llm.run('job', () => new Promise(() => {})))
    await settle()
    await at.clock.advance(29_999)
    expect(await rejection(at.llm.run('job', () => 'early'))).toMatchObject({
      kind: 'circuit_open',
    })
    await at.clock.advance(1)
    expect(await at.llm.run('job', () => 'next')).toBe('next')
    expect(await at.llm.run('job', () => 'and next')).toBe('and next')
    expect(at.target('job').breaker).toBe('closed')
    await drive(at.clock, hanging)
  })

  it('stays closed when failures of before it opened arrive after it has closed', async () => {
    const at = world({ maxAttempts: 1, breaker: { failuresInARow: 8 } })
    const late = Array.from({ length: 20 }, () => pending<never>())
    const slow = late.map(({ promise }) => rejection(at.llm.run('job', () => promise)))
    await settle()
    await halfOpen(at)
    await succeed(at, 2)
    expect(at.target('job').breaker).toBe('closed')
    for (const { reject } of late) reject(httpError(500))
    await Promise.all(slow)
    expect(at.target('job').breaker).toBe('closed')
  })

  it.each([
    ['a first single failure', 1, DOWN],
    ['50 rate limits', 50, () => Promise.reject(httpError(429))],
    ['50 bad requests', 50, () => Promise.reject(httpError(400))],
    ['50 refused keys', 50, () => Promise.reject(httpError(401))],
  ])('is not opened by %s', async (_, times, work) => {
    const at = world()
    await fail(at, times, work)
    expect(at.target('job').breaker).toBe('closed')
  })

  it('is not opened by 50 callers who abort', async () => {
    const at = world()
    for (let index = 0; index < 50; index += 1) {
      const caller = new AbortController()
      const { signal } = caller
      const call = rejection(at.llm.run('job', () => new Promise(() => {}), { signal }))
      await settle()
      caller.abort()
      await call
    }
    expect(at.target('job').breaker).toBe('closed')
  })
})

describe('targets', () => {
  it('are isolated: an outage of one leaves time and state of the other untouched', async () => {
    const at = world()
    await fail(at, 30)
    expect(at.target('job')).toMatchObject({ breaker: 'open' })
    const before = at.clock.monotonicMs()
    expect(await at.llm.run('other', () => 'fine')).toBe('fine')
    expect(at.clock.monotonicMs()).toBe(before)
    expect(at.target('other')).toMatchObject({ breaker: 'closed', retryTokens: 3.1 })
  })

  it('are forgotten when there are too many, the longest unused first', async () => {
    const at = world()
    await fail(at, 8)
    for (let index = 0; index < 3_000; index += 1) {
      await at.llm.run(`name ${index}`, () => index)
      // Used again and again, so it is not forgotten: its breaker is still open.
      if (index % 200 === 0) await rejection(at.llm.run('job', () => 'refused'))
    }
    expect(at.llm.targets().length).toBeLessThanOrEqual(1_000)
    expect(at.target('job').breaker).toBe('open')
  })
})
