import { createHash, randomUUID } from 'node:crypto'
import type {
  Claim,
  ClaimRequest,
  ClaimResult,
  FailureNotice,
  Outcome,
  Store,
} from '../idempotency/store.ts'
import { sleep, systemClock } from '../time.ts'
import { stretched } from './stretched-store.ts'

/** A store to be tested. It may be shared, because every test uses keys of its own. */
export interface StoreFixture {
  readonly store: Store
  /**
   * Moves the store's clock forward. Without it the suite waits in real time, a few hundred milliseconds at a
   * time, and repeats a failed test with longer times if a lease may have expired because the machine was slow.
   */
  advance?(ms: number): void | Promise<void>
  /** Called at the end of every test. */
  close?(): void | Promise<void>
}

/** The functions of a test runner that the suite needs; those of vitest and jest fit. */
export interface TestFunctions {
  readonly describe: (name: string, define: () => void) => unknown
  readonly it: (name: string, test: () => Promise<void>, timeoutMs: number) => unknown
  readonly expect: (actual: unknown) => { toEqual(expected: unknown): unknown }
}

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

type DefineTest = (
  promised: string,
  test: (bench: Bench, expect: TestFunctions['expect']) => Promise<void>,
) => void

// Short, for stores whose clock cannot be moved. Tests repeated on a slow machine use multiples of it.
const LEASE_MS = 500
// An operation that must happen before a lease or record ends has at least 200 ms for itself and all operations
// before it.
const SLACK_MS = 150
// With this factor a lease lasts half a minute.
const MOST_TIMES = 64
// For a test that was repeated three times.
const TIMEOUT_MS = 300_000
const TTL_MS = 60_000
const DONE: Outcome = { ok: true, result: '{"answer":42}' }
const OTHER: Outcome = { ok: true, result: '{"answer":43}' }
const ORIGIN = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const REFUSED: Outcome = {
  ok: false,
  notice: {
    kind: 'context_length',
    status: 400,
    retryAfterMs: 1_500,
    executed: 'yes',
    origin: ORIGIN,
  },
}
const BUSY: FailureNotice = {
  kind: 'rate_limit',
  status: 429,
  retryAfterMs: 7_000,
  executed: 'maybe',
  origin: ORIGIN,
}

/** A store with a key of its own, and helpers for the tests. */
class Bench {
  readonly store: Store
  readonly key: string = hash(randomUUID())
  readonly #fixture: StoreFixture
  /** The factor by which all durations are stretched. */
  readonly #times: number
  readonly #startedAtMs = systemClock.monotonicMs()
  #advancedMs = 0
  #isTimed = true

  constructor(fixture: StoreFixture, times: number) {
    this.#fixture = fixture
    this.#times = times
    this.store = times === 1 ? fixture.store : stretched(fixture.store, times)
  }

  /** Whether the operations took so long that a lease or record may have expired too early. */
  get mayHaveBeenLate(): boolean {
    if (!this.#isTimed || this.#fixture.advance !== undefined) return false
    const tookMs = systemClock.monotonicMs() - this.#startedAtMs
    return tookMs / this.#times - this.#advancedMs > SLACK_MS
  }

  /** From here on leases are long, so that a slow machine cannot cause a failure. */
  untimed(): void {
    this.#isTimed = false
  }

  claim(changes: Partial<ClaimRequest> = {}): Promise<ClaimResult> {
    return this.store.claim({
      key: this.key,
      fingerprint: hash('payload'),
      owner: randomUUID(),
      leaseMs: LEASE_MS,
      onUncertain: 'rerun',
      ttlMs: TTL_MS,
      ...changes,
    })
  }

  async state(changes: Partial<ClaimRequest> = {}): Promise<string> {
    return (await this.claim(changes)).state
  }

  /** A claim that must succeed. */
  async own(changes: Partial<ClaimRequest> = {}): Promise<Claim> {
    const claimed = await this.claim(changes)
    if (claimed.state === 'owned') return claimed.claim
    throw new Error(`Expected to own the key, but it is ${claimed.state}`)
  }

  async ownDispatched(changes: Partial<ClaimRequest> = {}): Promise<Claim> {
    const claim = await this.own(changes)
    if (await this.store.dispatch(claim)) return claim
    throw new Error('Expected the dispatch to be marked')
  }

  async advance(ms: number): Promise<void> {
    this.#advancedMs += ms
    if (this.#fixture.advance === undefined) await sleep(systemClock, ms * this.#times)
    else await this.#fixture.advance(ms * this.#times)
  }

  /** Advances beyond the end of the lease, but not of any record. */
  outlastLease(): Promise<void> {
    return this.advance(LEASE_MS + 100)
  }
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

function outcomes(promise: DefineTest): void {
  promise('is returned to every later claim, unchanged', async (bench, expect) => {
    const outcome: Outcome = { ok: true, result: '{"Grüße":"😀 \\u0000 \\\\ \' \\" \u2028"}' }
    expect(await bench.store.complete(await bench.ownDispatched(), outcome, TTL_MS)).toEqual(
      'stored',
    )
    expect(await bench.claim()).toEqual({ state: 'settled', outcome })
    expect(await bench.claim()).toEqual({ state: 'settled', outcome })
  })
  promise('may be large', async (bench, expect) => {
    const outcome: Outcome = { ok: true, result: `"${'long '.repeat(50_000)}"` }
    await bench.store.complete(await bench.own(), outcome, TTL_MS)
    expect(await bench.claim()).toEqual({ state: 'settled', outcome })
  })
  promise('may be a refusal, with its whole notice', async (bench, expect) => {
    await bench.store.complete(await bench.own(), REFUSED, TTL_MS)
    expect(await bench.claim()).toEqual({ state: 'settled', outcome: REFUSED })
  })
  promise('lives for its own ttlMs, not for that of the claim', async (bench, expect) => {
    await bench.store.complete(await bench.own(), DONE, LEASE_MS)
    expect(await bench.state()).toEqual('settled')
    await bench.outlastLease()
    expect(await bench.state({ fingerprint: hash('another') })).toEqual('owned')
  })
  promise('outlives the lease', async (bench, expect) => {
    await bench.store.complete(await bench.own({ ttlMs: 1 }), DONE, TTL_MS)
    await bench.outlastLease()
    expect(await bench.state()).toEqual('settled')
  })
  promise('may be stored again, and the first one is kept', async (bench, expect) => {
    const claim = await bench.own()
    await bench.store.complete(claim, DONE, TTL_MS)
    expect(await bench.store.complete(claim, DONE, TTL_MS)).toEqual('stored')
    expect(await bench.store.complete(claim, OTHER, TTL_MS)).toEqual('stored')
    expect(await bench.claim()).toEqual({ state: 'settled', outcome: DONE })
  })
  promise('is stored even late, if there is no new owner', async (bench, expect) => {
    const claim = await bench.ownDispatched()
    await bench.outlastLease()
    expect(await bench.store.complete(claim, DONE, TTL_MS)).toEqual('stored')
    expect(await bench.claim()).toEqual({ state: 'settled', outcome: DONE })
  })
  promise('replaces an uncertain state that arose in silence', async (bench, expect) => {
    const claim = await bench.ownDispatched({ onUncertain: 'fail' })
    await bench.outlastLease()
    expect(await bench.state({ onUncertain: 'fail' })).toEqual('uncertain')
    expect(await bench.store.complete(claim, DONE, TTL_MS)).toEqual('stored')
    expect(await bench.claim()).toEqual({ state: 'settled', outcome: DONE })
  })
  promise('is lost when its record is gone', async (bench, expect) => {
    const claim = await bench.own({ ttlMs: 1 })
    await bench.outlastLease()
    expect(await bench.store.complete(claim, DONE, TTL_MS)).toEqual('lost')
    expect(await bench.state()).toEqual('owned')
  })
}

function releases(promise: DefineTest): void {
  promise('frees the key at once', async (bench, expect) => {
    const claim = await bench.ownDispatched({ onUncertain: 'fail' })
    expect(await bench.store.release(claim)).toEqual(true)
    const claimed = await bench.claim({ onUncertain: 'rerun' })
    expect(claimed.state === 'owned' && claimed.onUncertain).toEqual('rerun')
  })
  promise('may come late, and from an uncertain record', async (bench, expect) => {
    const late = await bench.own()
    await bench.outlastLease()
    expect(await bench.store.release(late)).toEqual(true)
    const uncertain = await bench.ownDispatched()
    await bench.store.markUncertain(uncertain, TTL_MS)
    expect(await bench.store.release(uncertain)).toEqual(true)
    expect(await bench.state()).toEqual('owned')
  })
  promise("of work that may have been done frees the key under 'rerun'", async (bench, expect) => {
    const claim = await bench.ownDispatched({ onUncertain: 'rerun' })
    expect(await bench.store.release(claim, BUSY, TTL_MS, TTL_MS)).toEqual(true)
    expect(await bench.claim({ waitedFor: claim.fence })).toEqual({ state: 'left', notice: BUSY })
    const claimed = await bench.claim({ onUncertain: 'rerun' })
    expect(claimed.state === 'owned' && claimed.onUncertain).toEqual('rerun')
  })
  promise(
    "of work that may have been done is uncertain once a caller asked for 'fail'",
    async (bench, expect) => {
      const claim = await bench.ownDispatched({ onUncertain: 'rerun' })
      expect(await bench.state({ onUncertain: 'fail' })).toEqual('busy')
      expect(await bench.store.release(claim, BUSY, TTL_MS, LEASE_MS)).toEqual(true)
      expect(await bench.state({ onUncertain: 'rerun' })).toEqual('uncertain')
      expect(await bench.state({ onUncertain: 'fail', waitedFor: claim.fence })).toEqual(
        'uncertain',
      )
      await bench.outlastLease()
      expect(await bench.state()).toEqual('owned')
    },
  )
  promise('that left an uncertain record gives way to the outcome', async (bench, expect) => {
    const claim = await bench.ownDispatched({ onUncertain: 'fail' })
    expect(await bench.store.release(claim, undefined, 0, TTL_MS)).toEqual(true)
    expect(await bench.state()).toEqual('uncertain')
    expect(await bench.store.complete(claim, DONE, TTL_MS)).toEqual('stored')
    expect(await bench.claim()).toEqual({ state: 'settled', outcome: DONE })
  })
  promise('keeps an earlier notice where it leaves an uncertain record', async (bench, expect) => {
    const first = await bench.own()
    await bench.store.release(first, BUSY, TTL_MS)
    const second = await bench.ownDispatched({ onUncertain: 'fail' })
    expect(await bench.store.release(second, { kind: 'network' }, TTL_MS, TTL_MS)).toEqual(true)
    expect(await bench.claim({ waitedFor: first.fence })).toEqual({ state: 'left', notice: BUSY })
    expect(await bench.state({ waitedFor: second.fence })).toEqual('uncertain')
  })
  promise('gives way to an outcome', async (bench, expect) => {
    const claim = await bench.own()
    await bench.store.release(claim, BUSY, TTL_MS)
    await bench.store.complete(await bench.own(), DONE, TTL_MS)
    expect(await bench.state({ waitedFor: claim.fence })).toEqual('settled')
  })
  promise('is refused after an outcome and after another release', async (bench, expect) => {
    const settled = await bench.own()
    await bench.store.complete(settled, DONE, TTL_MS)
    expect(await bench.store.release(settled)).toEqual(false)
    const released = await bench.own({ key: hash(randomUUID()) })
    await bench.store.release(released, BUSY, TTL_MS)
    expect(await bench.store.release(released)).toEqual(false)
    expect(await bench.store.heartbeat(released, LEASE_MS)).toEqual(false)
    expect(await bench.store.complete(released, DONE, TTL_MS)).toEqual('lost')
  })
}

function notices(promise: DefineTest): void {
  promise(
    'is returned to callers that waited for its fence, with all its fields',
    async (bench, expect) => {
      const claim = await bench.own()
      expect(await bench.store.release(claim, BUSY, TTL_MS)).toEqual(true)
      const left = { state: 'left', notice: BUSY }
      expect(await bench.claim({ waitedFor: claim.fence })).toEqual(left)
      expect(await bench.claim({ waitedFor: claim.fence })).toEqual(left)
    },
  )
  promise('is not returned to others, and the next fence is higher', async (bench, expect) => {
    const claim = await bench.own()
    await bench.store.release(claim, BUSY, TTL_MS)
    expect((await bench.own({ waitedFor: claim.fence + 7 })).fence).toEqual(claim.fence + 1)
  })
  promise('is returned even while the next owner is at work', async (bench, expect) => {
    const claim = await bench.own()
    await bench.store.release(claim, BUSY, TTL_MS)
    expect(await bench.state()).toEqual('owned')
    expect(await bench.state({ waitedFor: claim.fence })).toEqual('left')
    expect(await bench.state()).toEqual('busy')
  })
  promise('is returned for its noticeMs only', async (bench, expect) => {
    const claim = await bench.own()
    await bench.store.release(claim, BUSY, LEASE_MS)
    await bench.outlastLease()
    expect(await bench.state({ waitedFor: claim.fence })).toEqual('owned')
  })
  promise('is returned for its noticeMs only, even under a new owner', async (bench, expect) => {
    const claim = await bench.own()
    await bench.store.release(claim, BUSY, LEASE_MS)
    await bench.own({ leaseMs: TTL_MS })
    await bench.outlastLease()
    expect(await bench.state({ waitedFor: claim.fence })).toEqual('busy')
  })
  promise('is returned even after the next owner released silently', async (bench, expect) => {
    const claim = await bench.own()
    await bench.store.release(claim, BUSY, TTL_MS)
    const next = await bench.own()
    expect(await bench.store.release(next)).toEqual(true)
    expect(await bench.state({ waitedFor: claim.fence })).toEqual('left')
    expect((await bench.own({ waitedFor: next.fence })).fence).toEqual(next.fence + 1)
  })
}

function uncertainties(promise: DefineTest): void {
  promise('is granted to no caller, under either policy', async (bench, expect) => {
    expect(await bench.store.markUncertain(await bench.ownDispatched(), TTL_MS)).toEqual(true)
    expect(await bench.claim({ onUncertain: 'rerun' })).toEqual({ state: 'uncertain' })
    expect(await bench.claim({ onUncertain: 'fail' })).toEqual({ state: 'uncertain' })
  })
  promise('lives for its ttlMs', async (bench, expect) => {
    await bench.store.markUncertain(await bench.own(), LEASE_MS)
    expect(await bench.state()).toEqual('uncertain')
    await bench.outlastLease()
    expect(await bench.state()).toEqual('owned')
  })
  promise('cannot be renewed or dispatched by its owner', async (bench, expect) => {
    const claim = await bench.own()
    await bench.store.markUncertain(claim, TTL_MS)
    expect(await bench.store.heartbeat(claim, LEASE_MS)).toEqual(false)
    expect(await bench.store.dispatch(claim)).toEqual(false)
    expect(await bench.state()).toEqual('uncertain')
  })
  promise('may be marked late', async (bench, expect) => {
    const claim = await bench.ownDispatched()
    await bench.outlastLease()
    expect(await bench.store.markUncertain(claim, TTL_MS)).toEqual(true)
    expect(await bench.state()).toEqual('uncertain')
  })
  promise('that arose in silence can be resolved too', async (bench, expect) => {
    await bench.ownDispatched({ onUncertain: 'fail' })
    await bench.outlastLease()
    expect(await bench.state()).toEqual('uncertain')
    expect(await bench.store.resolve(bench.key, DONE, TTL_MS)).toEqual(true)
    expect(await bench.claim()).toEqual({ state: 'settled', outcome: DONE })
  })
  promise('cannot be resolved after it has expired', async (bench, expect) => {
    await bench.store.markUncertain(await bench.own(), LEASE_MS)
    await bench.outlastLease()
    expect(await bench.store.resolve(bench.key, DONE, TTL_MS)).toEqual(false)
    expect(await bench.state()).toEqual('owned')
  })
  promise("is free after the verdict 'rerun'", async (bench, expect) => {
    const claim = await bench.own()
    await bench.store.markUncertain(claim, TTL_MS)
    expect(await bench.store.resolve(bench.key, 'rerun', TTL_MS)).toEqual(true)
    expect(await bench.store.complete(claim, DONE, TTL_MS)).toEqual('lost')
    expect(await bench.state()).toEqual('owned')
  })
  for (const outcome of [DONE, REFUSED]) {
    promise(`takes an operator's ${outcome.ok ? 'result' : 'refusal'}`, async (bench, expect) => {
      const claim = await bench.own()
      await bench.store.markUncertain(claim, TTL_MS)
      expect(await bench.store.resolve(bench.key, outcome, TTL_MS)).toEqual(true)
      expect(await bench.store.complete(claim, OTHER, TTL_MS)).toEqual('lost')
      expect(await bench.claim()).toEqual({ state: 'settled', outcome })
    })
  }
  promise('is the only kind that can be resolved', async (bench, expect) => {
    expect(await bench.store.resolve(bench.key, 'rerun', TTL_MS)).toEqual(false)
    const claim = await bench.ownDispatched()
    expect(await bench.store.resolve(bench.key, DONE, TTL_MS)).toEqual(false)
    await bench.store.complete(claim, DONE, TTL_MS)
    expect(await bench.store.resolve(bench.key, 'rerun', TTL_MS)).toEqual(false)
    expect(await bench.claim()).toEqual({ state: 'settled', outcome: DONE })
  })
}

function zombies(promise: DefineTest): void {
  promise('can no longer change anything', async (bench, expect) => {
    const zombie = await bench.own()
    await bench.outlastLease()
    const successor = await bench.own()
    expect(await actAs(zombie, bench)).toEqual([false, false, 'lost', false, false])
    expect(await bench.store.dispatch(successor)).toEqual(true)
    expect(await bench.store.complete(successor, DONE, TTL_MS)).toEqual('stored')
    expect(await actAs(zombie, bench)).toEqual([false, false, 'lost', false, false])
    expect(await bench.claim()).toEqual({ state: 'settled', outcome: DONE })
  })
  promise('is not its successor, even if a new record starts at fence 1', async (bench, expect) => {
    const zombie = await bench.own({ ttlMs: 1 })
    await bench.outlastLease()
    expect((await bench.own()).fence).toEqual(zombie.fence)
    expect(await actAs(zombie, bench)).toEqual([false, false, 'lost', false, false])
    expect(await bench.state()).toEqual('busy')
  })
}

function clocks(promise: DefineTest): void {
  for (const [how, skewMs] of Object.entries({ slow: -10 * YEAR_MS, fast: 10 * YEAR_MS })) {
    promise(`does not matter, even if it is ten years ${how}`, async (bench, expect) => {
      // Long, so that the test does not depend on the speed of this machine.
      const leaseMs = TTL_MS / 2
      const earlier = await bench.own({ leaseMs })
      const key = hash(randomUUID())
      await withSkew(skewMs, async () => {
        expect(await bench.state()).toEqual('busy')
        expect(await bench.store.dispatch(earlier)).toEqual(true)
        const claim = await bench.own({ key, leaseMs })
        expect(await bench.store.heartbeat(claim, leaseMs)).toEqual(true)
        expect(await bench.store.complete(claim, DONE, TTL_MS)).toEqual('stored')
        expect(await bench.state({ key })).toEqual('settled')
      })
      expect(await bench.state({ key })).toEqual('settled')
      const busy = await bench.claim()
      expect(busy.state === 'busy' && busy.leaseLeftMs <= leaseMs).toEqual(true)
    })
  }
}

const YEAR_MS = 365 * 24 * 60 * 60_000

/** The real `Date`, whatever other tests replace it with. */
const RealDate = Date

/** Runs `act` with a `Date` that is ahead by `skewMs`. */
async function withSkew(skewMs: number, act: () => Promise<void>): Promise<void> {
  globalThis.Date = new Proxy(RealDate, {
    construct: (_, time) =>
      Reflect.construct(RealDate, time.length === 0 ? [RealDate.now() + skewMs] : time),
    get: (_, name) =>
      name === 'now' ? () => RealDate.now() + skewMs : Reflect.get(RealDate, name),
  })
  try {
    await act()
  } finally {
    globalThis.Date = RealDate
  }
}

/** Every operation of an owner, one after the other. */
async function actAs(claim: Claim, { store }: Bench): Promise<unknown[]> {
  return [
    await store.heartbeat(claim, LEASE_MS),
    await store.dispatch(claim),
    await store.complete(claim, OTHER, TTL_MS),
    await store.release(claim, BUSY, TTL_MS),
    await store.markUncertain(claim, TTL_MS),
  ]
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
