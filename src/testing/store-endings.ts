import { randomUUID } from 'node:crypto'
import type { Claim, Outcome } from '../idempotency/store.ts'
import {
  type Bench,
  BUSY,
  type DefineTest,
  DONE,
  hash,
  LEASE_MS,
  OTHER,
  REFUSED,
  TTL_MS,
} from './store-bench.ts'

// What the contract says of how a claim ends: see `storeSuite`.

export function outcomes(promise: DefineTest): void {
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

export function releases(promise: DefineTest): void {
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

export function notices(promise: DefineTest): void {
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

export function uncertainties(promise: DefineTest): void {
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

export function zombies(promise: DefineTest): void {
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

export function clocks(promise: DefineTest): void {
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
