import { randomUUID } from 'node:crypto'
import {
  Bench,
  BUSY,
  type DefineTest,
  DONE,
  hash,
  LEASE_MS,
  MOST_TIMES,
  REFUSED,
  type StoreFixture,
  type TestFunctions,
  TIMEOUT_MS,
  TTL_MS,
} from './store-bench.ts'
import { clocks, notices, outcomes, releases, uncertainties, zombies } from './store-endings.ts'

export type { StoreFixture, TestFunctions } from './store-bench.ts'

export interface StoreSuiteOptions {
  /**
   * Whether the store has a clock of its own, such as a server's, so that its clients' clocks must not matter.
   * One additional test then runs with a wrong `Date` in this process. @default false
   */
  readonly ownClock?: boolean
}

/**
 * Conformance tests for any `Store`: one test for each statement of its contract. Call it at the top level of a
 * test file. `makeStore` is called for each test.
 */
export function storeSuite(
  name: string,
  makeStore: () => Promise<StoreFixture>,
  { describe, it, expect }: TestFunctions,
  { ownClock = false }: StoreSuiteOptions = {},
): void {
  const promise: DefineTest = (promised, test) => {
    const tryIn = async (times: number): Promise<void> => {
      const fixture = await makeStore()
      const bench = new Bench(fixture, times)
      try {
        await test(bench, expect)
      } catch (error) {
        if (!bench.mayHaveBeenLate || times >= MOST_TIMES) throw error
        return tryIn(times * 4)
      } finally {
        await fixture.close?.()
      }
    }
    it(promised, () => tryIn(1), TIMEOUT_MS)
  }
  describe(`${name}: a claim`, () => claims(promise))
  describe(`${name}: a claim that is repeated`, () => repetitions(promise))
  describe(`${name}: a claim whose lease ran out`, () => lapses(promise))
  describe(`${name}: a fingerprint`, () => fingerprints(promise))
  describe(`${name}: a heartbeat and a dispatch`, () => renewals(promise))
  describe(`${name}: an outcome`, () => outcomes(promise))
  describe(`${name}: a release`, () => releases(promise))
  describe(`${name}: the notice of a release`, () => notices(promise))
  describe(`${name}: an uncertain record`, () => uncertainties(promise))
  describe(`${name}: an owner whose key was taken over`, () => zombies(promise))
  if (ownClock) describe(`${name}: the clock of a client`, () => clocks(promise))
}

function claims(promise: DefineTest): void {
  promise('is granted to exactly one of fifty at a time', async (bench, expect) => {
    bench.untimed()
    const states = await Promise.all(
      Array.from({ length: 50 }, () => bench.state({ leaseMs: TTL_MS })),
    )
    expect(states.filter((state) => state === 'owned').length).toEqual(1)
    expect(states.filter((state) => state === 'busy').length).toEqual(49)
  })
  promise('begins at fence 1 and carries its key and owner', async (bench, expect) => {
    expect(await bench.claim({ owner: 'me' })).toEqual({
      state: 'owned',
      claim: { key: bench.key, owner: 'me', fence: 1 },
      onUncertain: 'rerun',
    })
  })
  promise('reports fence and remaining lease to a later claim', async (bench, expect) => {
    const { fence } = await bench.own()
    const busy = await bench.claim()
    expect(busy.state === 'busy' && busy.fence === fence).toEqual(true)
    expect(busy.state === 'busy' && busy.leaseLeftMs > 0).toEqual(true)
    expect(busy.state === 'busy' && busy.leaseLeftMs <= LEASE_MS).toEqual(true)
  })
  promise('says nothing about another key', async (bench, expect) => {
    await bench.own()
    expect(await bench.state({ key: hash(randomUUID()) })).toEqual('owned')
  })
  promise('is granted again to an owner who repeats it, for longer', async (bench, expect) => {
    const request = { owner: 'me', onUncertain: 'fail' } as const
    const first = await bench.claim(request)
    await bench.advance(LEASE_MS / 2)
    expect(await bench.claim(request)).toEqual(first)
    await bench.advance(LEASE_MS / 2 + 50)
    expect(await bench.state()).toEqual('busy')
    expect(await bench.state({ ...request, fingerprint: hash('another') })).toEqual('mismatch')
  })
  promise('is granted again after its lease, unless somebody took over', async (bench, expect) => {
    const first = await bench.claim({ owner: 'me' })
    await bench.outlastLease()
    expect(await bench.claim({ owner: 'me' })).toEqual(first)
    await bench.outlastLease()
    await bench.own()
    expect(await bench.state({ owner: 'me' })).toEqual('busy')
  })
  promise('is granted again without undoing a dispatch', async (bench, expect) => {
    const claim = await bench.ownDispatched({ owner: 'me', onUncertain: 'fail' })
    expect(await bench.claim({ owner: 'me', onUncertain: 'fail' })).toEqual({
      state: 'owned',
      claim,
      onUncertain: 'fail',
    })
    await bench.outlastLease()
    expect(await bench.state({ onUncertain: 'fail' })).toEqual('uncertain')
  })
  promise('is not granted again once its work has ended', async (bench, expect) => {
    await bench.store.complete(await bench.own({ owner: 'me' }), DONE, TTL_MS)
    expect(await bench.claim({ owner: 'me' })).toEqual({ state: 'settled', outcome: DONE })
  })
  promise('stands for its lease, however short its ttlMs', async (bench, expect) => {
    await bench.own({ ttlMs: 1 })
    await bench.advance(LEASE_MS / 5)
    expect(await bench.state()).toEqual('busy')
  })
}

function repetitions(promise: DefineTest): void {
  promise('tells its owner about a stricter policy set by others', async (bench, expect) => {
    const request = { owner: 'me', onUncertain: 'rerun' } as const
    const claim = await bench.ownDispatched(request)
    expect(await bench.state({ onUncertain: 'fail' })).toEqual('busy')
    expect(await bench.claim(request)).toEqual({ state: 'owned', claim, onUncertain: 'fail' })
    expect(await bench.state({ onUncertain: 'rerun' })).toEqual('busy')
    expect(await bench.claim(request)).toEqual({ state: 'owned', claim, onUncertain: 'fail' })
  })
  promise('keeps the stricter policy of its owner', async (bench, expect) => {
    const claim = await bench.ownDispatched({ owner: 'me', onUncertain: 'rerun' })
    expect(await bench.claim({ owner: 'me', onUncertain: 'fail' })).toEqual({
      state: 'owned',
      claim,
      onUncertain: 'fail',
    })
    await bench.outlastLease()
    expect(await bench.state({ onUncertain: 'rerun' })).toEqual('uncertain')
    expect(await bench.state({ owner: 'me', onUncertain: 'rerun' })).toEqual('uncertain')
  })
}

function lapses(promise: DefineTest): void {
  for (const onUncertain of ['rerun', 'fail'] as const) {
    promise(`is taken over before its dispatch, under '${onUncertain}'`, async (bench, expect) => {
      const { fence } = await bench.own({ onUncertain })
      await bench.outlastLease()
      expect((await bench.own({ onUncertain })).fence).toEqual(fence + 1)
    })
  }
  promise('is taken over by exactly one of fifty', async (bench, expect) => {
    await bench.ownDispatched()
    await bench.outlastLease()
    bench.untimed()
    const states = await Promise.all(
      Array.from({ length: 50 }, () => bench.state({ leaseMs: TTL_MS })),
    )
    expect(states.filter((state) => state === 'owned').length).toEqual(1)
  })
  promise("is taken over after its dispatch under 'rerun'", async (bench, expect) => {
    const { fence } = await bench.ownDispatched()
    await bench.outlastLease()
    expect((await bench.own()).fence).toEqual(fence + 1)
  })
  promise("becomes uncertain after its dispatch under 'fail'", async (bench, expect) => {
    await bench.ownDispatched({ onUncertain: 'fail' })
    await bench.outlastLease()
    expect(await bench.claim({ onUncertain: 'fail' })).toEqual({ state: 'uncertain' })
    expect(await bench.claim({ onUncertain: 'fail' })).toEqual({ state: 'uncertain' })
  })
  promise("keeps an owner's 'fail' whatever later callers ask for", async (bench, expect) => {
    await bench.ownDispatched({ onUncertain: 'fail' })
    await bench.outlastLease()
    expect(await bench.state({ onUncertain: 'rerun' })).toEqual('uncertain')
  })
  promise("keeps the 'fail' of a caller who found it busy", async (bench, expect) => {
    await bench.ownDispatched({ onUncertain: 'rerun' })
    expect(await bench.state({ onUncertain: 'fail' })).toEqual('busy')
    await bench.outlastLease()
    expect(await bench.state({ onUncertain: 'rerun' })).toEqual('uncertain')
  })
  promise("hands its 'fail' to the successor", async (bench, expect) => {
    await bench.own({ onUncertain: 'fail' })
    await bench.outlastLease()
    const claimed = await bench.claim({ onUncertain: 'rerun' })
    expect(claimed.state === 'owned' && claimed.onUncertain).toEqual('fail')
  })
  promise('that became uncertain stays so for the ttlMs of that claim', async (bench, expect) => {
    await bench.ownDispatched({ onUncertain: 'fail', ttlMs: LEASE_MS + 300 })
    await bench.outlastLease()
    expect(await bench.state({ ttlMs: TTL_MS })).toEqual('uncertain')
    await bench.outlastLease()
    expect(await bench.state()).toEqual('uncertain')
  })
  promise('leaves nothing behind once its ttlMs is over too', async (bench, expect) => {
    await bench.ownDispatched({ onUncertain: 'fail', ttlMs: LEASE_MS + 50 })
    await bench.outlastLease()
    expect(await bench.state({ fingerprint: hash('another') })).toEqual('owned')
  })
}

function fingerprints(promise: DefineTest): void {
  const another = { fingerprint: hash('another payload') }
  promise('binds a claimed key, with or without its lease', async (bench, expect) => {
    await bench.own()
    expect(await bench.claim(another)).toEqual({ state: 'mismatch' })
    await bench.outlastLease()
    expect(await bench.claim(another)).toEqual({ state: 'mismatch' })
  })
  promise('binds a dispatched key', async (bench, expect) => {
    await bench.ownDispatched()
    expect(await bench.claim(another)).toEqual({ state: 'mismatch' })
  })
  promise('binds a completed key', async (bench, expect) => {
    await bench.store.complete(await bench.own(), DONE, TTL_MS)
    expect(await bench.claim(another)).toEqual({ state: 'mismatch' })
  })
  promise('binds an uncertain key', async (bench, expect) => {
    await bench.store.markUncertain(await bench.own(), TTL_MS)
    expect(await bench.claim(another)).toEqual({ state: 'mismatch' })
  })
  promise('does not bind a key whose work was refused', async (bench, expect) => {
    const claim = await bench.own()
    await bench.store.complete(claim, REFUSED, TTL_MS)
    expect((await bench.own(another)).fence).toEqual(claim.fence + 1)
    expect(await bench.state()).toEqual('mismatch')
  })
  promise('does not bind a key that was released', async (bench, expect) => {
    await bench.store.release(await bench.own(), BUSY, TTL_MS)
    expect(await bench.state(another)).toEqual('owned')
  })
}

function renewals(promise: DefineTest): void {
  promise('extend the lease', async (bench, expect) => {
    const claim = await bench.own({ ttlMs: 1 })
    expect(await bench.store.heartbeat(claim, 4 * LEASE_MS)).toEqual(true)
    await bench.outlastLease()
    expect(await bench.state()).toEqual('busy')
  })
  promise('renew a lease that expired unnoticed', async (bench, expect) => {
    const claim = await bench.own()
    await bench.outlastLease()
    expect(await bench.store.heartbeat(claim, LEASE_MS)).toEqual(true)
    expect(await bench.state()).toEqual('busy')
  })
  promise('may be marked twice', async (bench, expect) => {
    const claim = await bench.own()
    expect(await bench.store.dispatch(claim)).toEqual(true)
    expect(await bench.store.dispatch(claim)).toEqual(true)
  })
  promise('are denied: no dispatch without a lease', async (bench, expect) => {
    const claim = await bench.own()
    await bench.outlastLease()
    expect(await bench.store.dispatch(claim)).toEqual(false)
    expect((await bench.own({ onUncertain: 'fail' })).fence).toEqual(claim.fence + 1)
  })
  promise('are denied once the work has ended', async (bench, expect) => {
    const claim = await bench.own()
    await bench.store.complete(claim, DONE, TTL_MS)
    expect(await bench.store.heartbeat(claim, LEASE_MS)).toEqual(false)
    expect(await bench.store.dispatch(claim)).toEqual(false)
  })
  promise('are denied to a forged owner and to a forged fence', async (bench, expect) => {
    const claim = await bench.own()
    expect(await bench.store.heartbeat({ ...claim, owner: 'forged' }, LEASE_MS)).toEqual(false)
    expect(await bench.store.dispatch({ ...claim, fence: claim.fence + 1 })).toEqual(false)
  })
}
