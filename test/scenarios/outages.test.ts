import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { isCallError } from '../../src/index.ts'
import { rejection } from '../support/set-up.ts'
import { drive, httpError, pending, settle, type World, world } from './world.ts'

const DOWN = () => Promise.reject(httpError(500))

async function fail(at: World, times: number, work: () => Promise<unknown> = DOWN): Promise<void> {
  const once = { maxAttempts: 1, maxWaitMs: 0 }
  for (let index = 0; index < times; index += 1) {
    await drive(at.clock, rejection(at.llm.run('job', work, once)))
  }
}

/** Five failures in a row: `job` is down, and the next call may be its probe. */
async function bringDown(at: World): Promise<void> {
  await fail(at, 5)
  expect(at.target('job').state).toBe('down')
  await at.clock.advance(1_000)
}

/** Lets no time pass, and no promise be left that could go on. */
const nobodyWaits = { maxAttempts: 1, maxWaitMs: 0 }

describe('a target that is down', () => {
  it('and met by 1000 calls at once: one is in flight, and the others go when it has succeeded', async () => {
    const at = world({ maxAttempts: 1 })
    await bringDown(at)
    const { promise, resolve } = pending<string>()
    let sent = 0
    const calls = Array.from({ length: 1_000 }, () =>
      at.llm.run('job', () => {
        sent += 1
        return promise
      }),
    )
    for (let turns = 0; turns < 10; turns += 1) await setImmediate()
    expect(sent).toBe(1)
    expect(at.target('job')).toMatchObject({ inFlight: 1, waiting: 999 })
    resolve('probed')
    expect(new Set(await drive(at.clock, Promise.all(calls)))).toEqual(new Set(['probed']))
    expect(sent).toBe(1_000)
  })

  it('and does not wait, is one probe, and the others fail in the same tick', async () => {
    const at = world(nobodyWaits)
    await bringDown(at)
    const { promise, resolve } = pending<string>()
    const calls = Array.from({ length: 1_000 }, () =>
      at.llm
        .run('job', () => promise)
        .catch((error: unknown) => (isCallError(error) ? error.kind : error)),
    )
    expect(new Set(await Promise.all(calls.slice(1)))).toEqual(new Set(['server_error']))
    resolve('probed')
    expect(await calls[0]).toBe('probed')
  })

  it('is probed by the next call at once when a probe is aborted', async () => {
    const at = world(nobodyWaits)
    await bringDown(at)
    const caller = new AbortController()
    const hangs = () => new Promise(() => {})
    const gone = rejection(at.llm.run('job', hangs, { signal: caller.signal }))
    await settle()
    expect(await rejection(at.llm.run('job', () => 'refused'))).toMatchObject({
      kind: 'server_error',
      reason: 'max_wait',
      executed: 'no',
    })
    caller.abort()
    await gone
    await at.clock.advance(5_000)
    expect(await at.llm.run('job', () => 'next')).toBe('next')
  })

  it('is probed by the next call after a while when a probe never settles', async () => {
    const at = world({ ...nobodyWaits, attemptTimeoutMs: 300_000 })
    await bringDown(at)
    const hanging = rejection(at.llm.run('job', () => new Promise(() => {})))
    await settle()
    await at.clock.advance(500)
    expect(await rejection(at.llm.run('job', () => 'early'))).toMatchObject({ reason: 'max_wait' })
    await at.clock.advance(1_500)
    expect(await at.llm.run('job', () => 'next')).toBe('next')
    expect(at.target('job').state).not.toBe('down')
    await drive(at.clock, hanging)
  })

  it('and is up again, stays so when failures of before arrive late', async () => {
    const at = world(nobodyWaits)
    const late = Array.from({ length: 20 }, () => pending<never>())
    const slow = late.map(({ promise }) => rejection(at.llm.run('job', () => promise)))
    await settle()
    await bringDown(at)
    await at.llm.run('job', () => 'good')
    for (const { reject } of late) reject(httpError(500))
    await Promise.all(slow)
    expect(at.target('job').state).not.toBe('down')
  })

  it('is still known to be, after an idle hour, and is probed by the first call', async () => {
    const at = world(nobodyWaits)
    await bringDown(at)
    await at.clock.advance(3_600_000)
    expect(at.target('job')).toMatchObject({ state: 'down' })
    expect(await at.llm.run('job', () => 'good')).toBe('good')
    expect(at.target('job').state).not.toBe('down')
  })
})

describe('a target is not down', () => {
  it.each([
    ['a first single failure', 1, DOWN],
    ['50 bad requests', 50, () => Promise.reject(httpError(400))],
    ['50 refused keys', 50, () => Promise.reject(httpError(401))],
  ])('after %s', async (_, times, work) => {
    const at = world()
    await fail(at, times, work)
    expect(at.target('job').state).toBe('up')
  })

  it('after 50 callers who abort', async () => {
    const at = world()
    for (let index = 0; index < 50; index += 1) {
      const caller = new AbortController()
      const { signal } = caller
      const call = rejection(at.llm.run('job', () => new Promise(() => {}), { signal }))
      await settle()
      caller.abort()
      await call
    }
    expect(at.target('job').state).toBe('up')
  })

  it('while one of three calls fails', async () => {
    const at = world({ maxAttempts: 1 })
    for (let round = 0; round < 30; round += 1) {
      await fail(at, 1)
      for (let good = 0; good < 2; good += 1) await at.llm.run('job', () => 'good')
    }
    expect(at.target('job')).toMatchObject({ state: 'up', waiting: 0 })
  })
})

describe('the retry budget', () => {
  it('that is empty makes a retry wait, and the success of another call lets it go', async () => {
    const at = world({ maxAttempts: 3 })
    // Six retries have used up what a cold start has.
    for (let call = 0; call < 3; call += 1) await drive(at.clock, rejection(spend(at)))
    let attempts = 0
    const work = () => (attempts++ === 0 ? DOWN() : Promise.resolve('good'))
    const held = at.llm.run('job', work)
    await settle()
    await at.clock.advance(5_000)
    expect(attempts).toBe(1)
    expect(at.target('job')).toMatchObject({ state: 'up', inFlight: 0, waiting: 1 })
    await at.llm.run('job', () => 'another')
    expect(await held).toBe('good')
    expect(attempts).toBe(2)
  })
})

/** Two retries, and an answer that is no sign of anything. */
function spend(at: World): Promise<unknown> {
  let attempts = 0
  return at.llm.run('job', () => Promise.reject(httpError(attempts++ < 2 ? 500 : 400)))
}
