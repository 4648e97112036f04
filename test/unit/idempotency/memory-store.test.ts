import { describe, expect, it } from 'vitest'
import type { Claim, ClaimRequest, Store } from '../../../src/idempotency/store.ts'
import { memoryStore } from '../../../src/stores/memory-store.ts'
import { VirtualClock } from './virtual-clock.ts'

const MINUTE_MS = 60_000

describe('memoryStore', () => {
  it('ends a lease at its instant and not a millisecond before', async () => {
    const { store, clock } = setUp()
    await own(store, 'a', { leaseMs: 30_000 })
    clock.jump(29_999)
    expect((await claim(store, 'a')).state).toBe('busy')
    clock.jump(1)
    expect((await claim(store, 'a')).state).toBe('owned')
  })

  it('forgets an outcome at the end of its ttlMs and not a millisecond before', async () => {
    const { store, clock } = setUp()
    await settle(store, 'a', MINUTE_MS)
    clock.jump(MINUTE_MS - 1)
    expect((await claim(store, 'a')).state).toBe('settled')
    clock.jump(1)
    expect((await claim(store, 'a')).state).toBe('owned')
  })

  it('arms no timer', async () => {
    const { store, clock } = setUp()
    await own(store, 'a')
    await settle(store, 'b')
    expect(clock.armedTimers).toBe(0)
  })

  it('evicts the least recently used outcome first', async () => {
    const { store } = setUp(3)
    await settle(store, 'a')
    await settle(store, 'b')
    await settle(store, 'c')
    await claim(store, 'a')
    await own(store, 'd')
    expect(await known(store, ['a', 'c', 'd'])).toEqual(['settled', 'settled', 'busy'])
    await own(store, 'e')
    expect(await known(store, ['c', 'd', 'e'])).toEqual(['settled', 'busy', 'busy'])
  })

  it('forgets expired outcomes before ones that still live', async () => {
    const { store, clock } = setUp(2)
    await settle(store, 'a', 1_000)
    await settle(store, 'b', MINUTE_MS)
    clock.jump(1_000)
    await own(store, 'c')
    expect(await known(store, ['b', 'c'])).toEqual(['settled', 'busy'])
  })

  it('rejects a claim rather than evict a live one', async () => {
    const { store } = setUp(2)
    const first = await own(store, 'a')
    await own(store, 'b')
    await expect(claim(store, 'c')).rejects.toThrow('all of its 2 records are live claims')
    expect(await store.heartbeat(first, 30_000)).toBe(true)
    await store.complete(first, { ok: true, result: '1' }, MINUTE_MS)
    expect((await claim(store, 'c')).state).toBe('owned')
  })

  it('makes room of claims whose owner died, but never of one that may have been sent', async () => {
    const { store, clock } = setUp(2)
    await own(store, 'dead')
    const sent = await own(store, 'sent', { onUncertain: 'fail' })
    await store.dispatch(sent)
    clock.jump(30_000)
    await own(store, 'new')
    expect((await claim(store, 'sent', { onUncertain: 'fail' })).state).toBe('uncertain')
    await expect(claim(store, 'newer')).rejects.toThrow('The memory store is full')
  })

  it('never evicts an uncertain record before its time', async () => {
    const { store, clock } = setUp(1)
    await store.markUncertain(await own(store, 'a'), MINUTE_MS)
    clock.jump(MINUTE_MS - 1)
    await expect(claim(store, 'b')).rejects.toThrow('The memory store is full')
    clock.jump(1)
    expect((await claim(store, 'b')).state).toBe('owned')
  })

  it('still tells of an earlier release when a later owner leaves without a word', async () => {
    const { store } = setUp()
    const first = await own(store, 'a')
    await store.release(first, { kind: 'rate_limit' }, 5_000)
    await store.release(await own(store, 'a'))
    expect(await claim(store, 'a', { waitedFor: first.fence })).toEqual({
      state: 'left',
      notice: { kind: 'rate_limit' },
    })
  })

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'refuses maxEntries %s',
    (maxEntries) => {
      expect(() => memoryStore({ maxEntries })).toThrow(
        `memoryStore(): maxEntries must be a positive integer, got ${maxEntries}`,
      )
    },
  )
})

function setUp(maxEntries?: number): { store: Store; clock: VirtualClock } {
  const clock = new VirtualClock()
  const store = memoryStore(maxEntries === undefined ? { clock } : { clock, maxEntries })
  return { store, clock }
}

function claim(store: Store, key: string, changes: Partial<ClaimRequest> = {}) {
  return store.claim({
    key,
    fingerprint: 'payload',
    owner: crypto.randomUUID(),
    leaseMs: 30_000,
    onUncertain: 'rerun',
    ttlMs: 10 * MINUTE_MS,
    ...changes,
  })
}

async function own(store: Store, key: string, changes?: Partial<ClaimRequest>): Promise<Claim> {
  const claimed = await claim(store, key, changes)
  if (claimed.state !== 'owned') throw new Error(`${key} is ${claimed.state}`)
  return claimed.claim
}

async function settle(store: Store, key: string, ttlMs = MINUTE_MS): Promise<void> {
  await store.complete(await own(store, key), { ok: true, result: '1' }, ttlMs)
}

/** The state of each key that still has a record. */
async function known(store: Store, keys: readonly string[]): Promise<string[]> {
  const states: string[] = []
  for (const key of keys) states.push((await claim(store, key)).state)
  return states
}
