import { describe, expect, it, vi } from 'vitest'
import { CallError } from '../../../src/errors/call-error.ts'
import type { Flight, OnceRequest, OnceResult } from '../../../src/idempotency/protocol.ts'
import {
  answerOf,
  type CallChanges,
  latestJob,
  type Process,
  peek,
  settle,
  setUp,
} from './harness.ts'

const A = 'a'.repeat(64)
const B = 'b'.repeat(64)

describe('a key used inside itself', () => {
  it('is in_progress at once, not a wait for itself', async () => {
    const { world, here } = setUp()
    const call = here.call({ work: calling(here) })
    await expect(call).rejects.toMatchObject({
      kind: 'in_progress',
      message: expect.stringContaining('the call that contains this one'),
      retryable: false,
    })
    expect(here.flights.size).toBe(0)
    expect(world.clock.armedTimers).toBe(0)
  })

  it('leaves the outer call and those who joined it undisturbed', async () => {
    const { world, here } = setUp()
    let inner: unknown
    const call = here.call({
      work: async (flight) => {
        await flight.dispatch()
        inner = await answerOf(here.call({ outer: flight.deadline }))
        expect(flight.deadline.remainingMs()).toBe(60_000)
        return { ok: true, value: 'answer' }
      },
    })
    const joined = here.call()
    expect(await Promise.all([call, joined])).toEqual([
      { value: 'answer', source: 'provider', persisted: true },
      { value: 'answer', source: 'shared', persisted: true },
    ])
    expect(inner).toEqual({ failed: 'in_progress', source: 'provider' })
    expect(await here.call()).toMatchObject({ value: 'answer', source: 'store' })
    expect(world.work).toHaveLength(0)
  })

  it('is noticed when the store is down too', async () => {
    const { here } = setUp((store) => ({ ...store, claim: () => Promise.reject(new Error()) }))
    const call = here.call({ onStoreError: 'bypass', work: calling(here) })
    expect(await answerOf(call)).toMatchObject({ failed: 'in_progress' })
  })

  it('is noticed through another key in between', async () => {
    const { here } = setUp()
    const inner = calling(here, { key: A })
    const call = here.call({ key: A, work: calling(here, { key: B, work: inner }) })
    expect(await answerOf(call)).toMatchObject({ failed: 'in_progress' })
  })

  it('is noticed when two calls wait for each other', async () => {
    const { world, here } = setUp()
    const first = here.call({ key: A, work: afterwards(calling(here, { key: B })) })
    const second = here.call({ key: B, work: afterwards(calling(here, { key: A })) })
    const answers = [await answerOf(first), await answerOf(second)]
    // The first waits for the second, which cannot have it.
    expect(answers).toEqual([
      { failed: 'in_progress', source: 'shared' },
      { failed: 'in_progress', source: 'provider' },
    ])
    expect(world.clock.armedTimers).toBe(0)
  })

  it('is noticed by another copy of the package', async () => {
    const { world, here } = setUp()
    vi.resetModules()
    const copy = await import('./harness.ts')
    expect(copy.World).not.toBe(world.constructor)
    const there = new copy.Process(world, { flights: here.flights })
    const inner = calling(there, { key: A })
    const call = here.call({ key: A, work: calling(there, { key: B, work: inner }) })
    await expect(call).rejects.toMatchObject({ kind: 'in_progress' })
  })

  it('is noticed by work whose callers have all left', async () => {
    const { world, here } = setUp()
    const aborting = new AbortController()
    let go: () => void = () => {}
    const going = new Promise<void>((resolve) => {
      go = resolve
    })
    let last: unknown
    const stubborn: Work = async (flight) => {
      await going
      last = await answerOf(here.call({ outer: flight.deadline }))
      return { ok: true, value: 'late' }
    }
    const call = here.call({ signal: aborting.signal, work: stubborn })
    await settle()
    aborting.abort()
    await world.clock.advance(50)
    expect(await peek(call)).toMatchObject({ failed: 'aborted' })
    go()
    await settle()
    expect(last).toEqual({ failed: 'in_progress', source: 'provider' })
    expect(here.flights.size).toBe(0)
  })
})

describe('a key used beside itself', () => {
  it('is joined from inside another key’s work', async () => {
    const { world, here } = setUp()
    const plain = here.call({ key: A })
    const around = here.call({ key: B, work: calling(here, { key: A }) })
    await settle()
    latestJob(world).succeed('answer')
    expect(await Promise.all([plain, around])).toMatchObject([
      { value: 'answer', source: 'provider' },
      { value: 'answer', source: 'provider' },
    ])
    expect(world.work).toHaveLength(1)
  })

  it('is replayed by what outlived the call it was part of', async () => {
    const { here } = setUp()
    let later: () => Promise<OnceResult<string>> = () => Promise.reject(new Error('not begun'))
    let go: () => void = () => {}
    await here.call({
      work: async () => {
        const gone = new Promise<void>((resolve) => {
          go = resolve
        })
        const replayed = gone.then(() => here.call())
        later = () => replayed
        return { ok: true, value: 'answer' }
      },
    })
    go()
    expect(await later()).toMatchObject({ value: 'answer', source: 'store' })
  })
})

type Work = OnceRequest<string>['work']

/** Work that consists of another call, as a function given to `run` may. */
function calling(here: Process, changes: CallChanges = {}): Work {
  return async ({ deadline }: Flight) => {
    try {
      const { value } = await here.call({ ...changes, outer: deadline })
      return { ok: true, value }
    } catch (error) {
      const kind = error instanceof CallError ? error.kind : 'unknown'
      return { ok: false, error, disposition: 'release', notice: { kind } }
    }
  }
}

/** The same once every call made until now has boarded. */
function afterwards(work: Work): Work {
  return async (flight) => {
    await settle()
    return work(flight)
  }
}
