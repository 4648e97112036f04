import { describe, expect, it } from 'vitest'
import type { ClaimResult, Store } from '../../../src/idempotency/store.ts'
import { answerOf, latestJob, peek, settle, setUp, type World } from './harness.ts'

describe('once, when the store hangs at a claim', () => {
  it("says store_unavailable after 5 s, under 'fail'", async () => {
    const { world, here } = setUp(hanging('claim'))
    const call = here.call()
    await world.clock.advance(4_999)
    expect(await peek(call)).toBe('pending')
    await world.clock.advance(1)
    expect(await peek(call)).toEqual({ failed: 'store_unavailable', source: 'provider' })
    await expect(call).rejects.toMatchObject({ executed: 'no', retryable: true })
    expectNothingLeft(world, here)
  })

  it("runs unprotected with half of the time left, under 'bypass'", async () => {
    const { world, here } = setUp(hanging('claim'))
    const call = here.call({ onStoreError: 'bypass', deadlineMs: 800 })
    await world.clock.advance(399)
    expect(world.work).toHaveLength(0)
    await world.clock.advance(1)
    expect(world.work).toHaveLength(1)
    await latestJob(world).dispatch()
    latestJob(world).succeed('answer')
    expect(await call).toEqual({ value: 'answer', source: 'provider', persisted: false })
    expectNothingLeft(world, here)
  })

  it('asks for the key anew once the store has recovered', async () => {
    let down = true
    const { world, here } = setUp((store) => ({
      ...store,
      claim: (request) => (down ? new Promise(() => {}) : store.claim(request)),
    }))
    const stuck = here.call({ onStoreError: 'bypass', deadlineMs: 800 })
    await world.clock.advance(800)
    await world.clock.advance(50)
    await answerOf(stuck)
    down = false
    const later = here.call({ deadlineMs: 800 })
    await settle()
    latestJob(world).succeed('answer')
    expect(await later).toMatchObject({ value: 'answer', source: 'provider', persisted: true })
  })

  it('lets go of the key at once when the last caller leaves', async () => {
    const { world, here } = setUp(hanging('claim'))
    const aborting = new AbortController()
    const call = here.call({ signal: aborting.signal })
    await settle()
    aborting.abort()
    expect(await peek(call)).toMatchObject({ failed: 'aborted' })
    expectNothingLeft(world, here)
  })

  it('lets go of the key at once also when its work was being given back', async () => {
    const { world, here } = setUp(hanging('release'))
    const aborting = new AbortController()
    const call = here.call({ signal: aborting.signal })
    await settle()
    aborting.abort()
    expect(await peek(call)).toMatchObject({ failed: 'aborted' })
    expect(here.flights.size).toBe(0)
    expect(world.work).toHaveLength(1)
  })

  it.each(['the time is up', 'everybody left'])(
    'releases a claim that is granted after %s',
    async (why) => {
      const aborting = new AbortController()
      let grant: () => Promise<unknown> = () => Promise.reject(new Error('not asked'))
      let memory: Store | undefined
      const { world, here } = setUp((store) => {
        memory = store
        const claim: Store['claim'] = (request) =>
          new Promise<ClaimResult>((resolve) => {
            grant = () => store.claim(request).then(resolve)
          })
        return { ...store, claim }
      })
      const call = here.call({ signal: aborting.signal })
      await settle()
      if (why === 'everybody left') aborting.abort()
      await world.clock.advance(5_000)
      expect(await peek(call)).not.toBe('pending')
      await grant()
      await settle()
      const next = here.call({ ...(memory && { store: memory }) })
      await settle()
      latestJob(world).succeed('answer')
      expect(await next).toMatchObject({ source: 'provider', persisted: true })
    },
  )

  it('does not take a slow answer for a free key when another process has it', async () => {
    let slow = false
    const { world, here } = setUp((store) => ({
      ...store,
      claim: (request) => (slow ? new Promise(() => {}) : store.claim(request)),
    }))
    const owner = here.call()
    await settle()
    const waiting = world.process().call({ onStoreError: 'bypass', deadlineMs: 3_000 })
    await settle()
    slow = true
    await world.clock.advance(3_000)
    expect(await peek(waiting)).toMatchObject({ failed: 'in_progress' })
    expect(world.work).toHaveLength(1)
    latestJob(world).succeed('answer')
    await owner
  })
})

describe('once, when the store hangs at a dispatch', () => {
  it("does not send and says store_unavailable after 5 s, under 'fail'", async () => {
    const { world, here } = setUp(hanging('dispatch'))
    const call = here.call()
    await settle()
    const sending = latestJob(world).dispatch()
    await world.clock.advance(4_999)
    expect(latestJob(world).dispatched).toBe('no')
    await world.clock.advance(1)
    await sending
    expect(latestJob(world).dispatched).toBe('store_unavailable')
    await expect(call).rejects.toMatchObject({ kind: 'store_unavailable', executed: 'no' })
    expectNothingLeft(world, here)
  })

  it("sends with half of the time left, under 'bypass'", async () => {
    const { world, here } = setUp(hanging('dispatch'))
    const call = here.call({ onStoreError: 'bypass', deadlineMs: 800 })
    await settle()
    const sending = latestJob(world).dispatch()
    await world.clock.advance(400)
    await sending
    expect(latestJob(world).dispatched).toBe('yes')
    latestJob(world).succeed('answer')
    expect(await call).toMatchObject({ value: 'answer', persisted: true })
  })

  it('does not send for nobody: the last caller’s abort ends the wait', async () => {
    const { world, here } = setUp(hanging('dispatch'))
    const aborting = new AbortController()
    let refused: unknown
    const call = here.call({
      signal: aborting.signal,
      work: async ({ dispatch }) => {
        const error = await dispatch().catch((reason: unknown) => reason)
        refused = error
        return { ok: false, error, disposition: 'release', notice: { kind: 'aborted' } }
      },
    })
    await settle()
    aborting.abort('enough')
    expect(await peek(call)).toMatchObject({ failed: 'aborted' })
    expect(refused).toMatchObject({ kind: 'aborted', executed: 'no', cause: 'enough' })
    expectNothingLeft(world, here)
  })
})

describe('once, when the store hangs at a heartbeat', () => {
  it('keeps the lease with the heartbeats after it', async () => {
    let beats = 0
    const { world, here } = setUp((store) => ({
      ...store,
      heartbeat: (...parameters) =>
        ++beats === 1 ? new Promise(() => {}) : store.heartbeat(...parameters),
    }))
    const call = here.call({ deadlineMs: 600_000 })
    await settle()
    await latestJob(world).dispatch()
    await world.clock.advance(120_000)
    expect(world.work).toHaveLength(1)
    expect(latestJob(world).flight.signal.aborted).toBe(false)
    latestJob(world).succeed('answer')
    expect(await answerOf(call)).toMatchObject({ value: 'answer', persisted: true })
    expectNothingLeft(world, here)
  })
})

function hanging(verb: keyof Store): (store: Store) => Store {
  return (store) => ({ ...store, [verb]: () => new Promise(() => {}) })
}

function expectNothingLeft(
  { clock }: World,
  { flights }: { readonly flights: ReadonlyMap<unknown, unknown> },
): void {
  expect(flights.size).toBe(0)
  expect(clock.armedTimers).toBe(0)
}
