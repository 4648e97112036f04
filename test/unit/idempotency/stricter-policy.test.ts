import { describe, expect, it } from 'vitest'
import type { ClaimRequest } from '../../../src/idempotency/store.ts'
import { answerOf, latestJob as job, peek, settle, setUp, withVerbs } from './harness.ts'

const AGAIN = { again: true } as const

describe("an owner under 'rerun', before it sends again", () => {
  it('hears that another process has asked that it be not done again', async () => {
    const { world, here } = setUp()
    const call = here.call()
    await settle()
    await job(world).dispatch()
    const strict = world.process().call({ onUncertain: 'fail' })
    await settle()
    expect(job(world).flight.onUncertain).toBe('rerun')
    await job(world).dispatch(AGAIN)
    expect(job(world).flight.onUncertain).toBe('fail')
    job(world).fail('outcome_unknown', 'uncertain')
    await answerOf(call)
    await world.clock.advance(1_000)
    expect(await peek(strict)).toMatchObject({ failed: 'outcome_unknown', source: 'store' })
    expect(world.work).toHaveLength(1)
  })

  it('asks the store once for each, and not at all for what was surely not done', async () => {
    const asked: ClaimRequest[] = []
    const { world, here } = setUp((store) =>
      withVerbs(store, {
        claim: (request) => {
          asked.push(request)
          return store.claim(request)
        },
      }),
    )
    const call = here.call()
    await settle()
    await job(world).dispatch()
    await job(world).dispatch()
    expect(asked).toHaveLength(1)
    await job(world).dispatch(AGAIN)
    await job(world).dispatch(AGAIN)
    expect(asked).toHaveLength(3)
    expect(new Set(asked.map(({ owner }) => owner)).size).toBe(1)
    job(world).succeed('answer')
    expect(await call).toMatchObject({ value: 'answer', persisted: true })
    expect(world.clock.armedTimers).toBe(0)
  })

  it('does not send when the store cannot say, and has not lost its key by that', async () => {
    const { world, here } = setUp(failingAfterTheFirst(Number.POSITIVE_INFINITY))
    const call = here.call()
    await settle()
    await job(world).dispatch()
    await job(world).dispatch(AGAIN)
    expect(job(world).dispatched).toBe('store_unavailable')
    expect(await answerOf(call)).toMatchObject({ failed: 'store_unavailable' })
  })

  it('asks a second time when the first answer does not come through', async () => {
    const { world, here } = setUp(failingAfterTheFirst(1))
    const call = here.call()
    await settle()
    await job(world).dispatch()
    await job(world).dispatch(AGAIN)
    expect(job(world).dispatched).toBe('yes')
    job(world).succeed('answer')
    expect(await call).toMatchObject({ value: 'answer', persisted: true })
  })

  it("sends although the store cannot say, under 'bypass'", async () => {
    const { world, here } = setUp(failingAfterTheFirst(Number.POSITIVE_INFINITY))
    const call = here.call({ onStoreError: 'bypass' })
    await settle()
    await job(world).dispatch()
    await job(world).dispatch(AGAIN)
    expect(job(world).dispatched).toBe('yes')
    job(world).succeed('answer')
    expect(await call).toMatchObject({ value: 'answer' })
  })

  it('does not send when its key has been taken over', async () => {
    const { world, here } = setUp()
    const call = here.call()
    await settle()
    const zombie = job(world)
    await zombie.dispatch()
    world.clock.jump(31_000)
    const other = world.process().call()
    await settle()
    expect(world.work).toHaveLength(2)
    await zombie.dispatch(AGAIN)
    expect(zombie.dispatched).toBe('in_progress')
    job(world).succeed('theirs')
    await world.clock.advance(1_000)
    expect(await other).toMatchObject({ value: 'theirs', source: 'provider' })
    expect(await call).toMatchObject({ value: 'theirs', source: 'store' })
  })

  it('does not send when an operator has freed its key, and runs under a claim of its own', async () => {
    const { world, here } = setUp()
    const call = here.call()
    await settle()
    const first = job(world)
    await first.dispatch()
    await world.store.claim({ ...claimRequest, onUncertain: 'fail' })
    world.clock.jump(31_000)
    expect((await world.store.claim({ ...claimRequest, onUncertain: 'fail' })).state).toBe(
      'uncertain',
    )
    await world.store.resolve(claimRequest.key, 'rerun', 1_000)
    await first.dispatch(AGAIN)
    expect(first.dispatched).toBe('in_progress')
    await world.clock.advance(1_000)
    job(world).succeed('anew')
    expect(await call).toMatchObject({ value: 'anew', source: 'provider' })
  })

  it('can be stopped while it waits for the store', async () => {
    let isAsked = false
    const { world, here } = setUp((store) =>
      withVerbs(store, {
        claim: (request) => {
          if (isAsked) return new Promise(() => {})
          isAsked = true
          return store.claim(request)
        },
      }),
    )
    const call = here.call()
    await settle()
    await job(world).dispatch()
    const stopping = new AbortController()
    const hedge = job(world).flight.dispatch({ again: true, signal: stopping.signal })
    stopping.abort('the other has won')
    await expect(hedge).rejects.toMatchObject({ kind: 'aborted' })
    job(world).succeed('answer')
    expect(await call).toMatchObject({ value: 'answer', persisted: true })
  })
})

describe("a caller under 'fail' who joins in the same process", () => {
  it('has that written down at once, so that nobody takes over when the process dies', async () => {
    const { world, here } = setUp()
    const calls = [here.call()]
    await settle()
    await job(world).dispatch()
    calls.push(here.call({ onUncertain: 'fail' }))
    await settle()
    world.clock.jump(31_000)
    const elsewhere = world.process().call({ onUncertain: 'rerun' })
    await settle()
    expect(await peek(elsewhere)).toEqual({ failed: 'outcome_unknown', source: 'store' })
    expect(world.work).toHaveLength(1)
    job(world).succeed('late')
    expect((await Promise.all(calls)).map(({ value }) => value)).toEqual(['late', 'late'])
  })

  it('before the work is sent, has it written down before it is', async () => {
    const told: string[] = []
    const { world, here } = setUp((store) =>
      withVerbs(store, {
        claim: (request) => {
          told.push(`claim ${request.onUncertain}`)
          // What is said when the second caller joins is lost on the way.
          return told.length === 2 ? Promise.reject(new Error('reset')) : store.claim(request)
        },
        dispatch: (claim) => {
          told.push('dispatch')
          return store.dispatch(claim)
        },
      }),
    )
    const calls = [here.call()]
    await settle()
    calls.push(here.call({ onUncertain: 'fail' }))
    await settle()
    await job(world).dispatch()
    expect(told).toEqual(['claim rerun', 'claim fail', 'claim fail', 'dispatch'])
    job(world).succeed('answer')
    await Promise.all(calls)
  })

  it('has it written down by a heartbeat where the store was not there at first', async () => {
    let isDown = false
    const { world, here } = setUp((store) =>
      withVerbs(store, {
        claim: (request) => (isDown ? Promise.reject(new Error('down')) : store.claim(request)),
      }),
    )
    const calls = [here.call()]
    await settle()
    await job(world).dispatch()
    isDown = true
    calls.push(here.call({ onUncertain: 'fail' }))
    await settle()
    isDown = false
    await world.clock.advance(10_000)
    world.clock.jump(31_000)
    expect(await answerOf(world.process().call())).toMatchObject({ failed: 'outcome_unknown' })
    job(world).succeed('answer')
    await Promise.all(calls)
  })
})

const claimRequest: ClaimRequest = {
  key: 'k'.repeat(64),
  fingerprint: 'payload',
  owner: 'somebody else',
  leaseMs: 30_000,
  onUncertain: 'rerun',
  ttlMs: 86_400_000,
}

/** Claims after the first one fail, so many of them. */
function failingAfterTheFirst(failures: number): Parameters<typeof setUp>[0] {
  let claims = 0
  return (store) =>
    withVerbs(store, {
      claim: (request) =>
        claims++ > 0 && claims <= failures + 1
          ? Promise.reject(new Error('ECONNREFUSED'))
          : store.claim(request),
    })
}
