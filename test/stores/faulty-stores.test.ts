import { randomUUID } from 'node:crypto'
import { expect, it, onTestFinished, vi } from 'vitest'
import type { Claim } from '../../src/idempotency/store.ts'
import { memoryStore, type Store } from '../../src/index.ts'
import { storeSuite } from '../../src/testing/index.ts'
import { type Clock, systemClock } from '../../src/time.ts'
import { VirtualClock } from '../unit/idempotency/virtual-clock.ts'

/** A store made wrong, and a promise of the suite that has to notice. */
interface Fault {
  readonly spoil: (store: Store) => Partial<Store>
  readonly noticed: string
}

const FAULTS: Readonly<Record<string, Fault>> = {
  'a claim looks first and takes later': {
    spoil(store) {
      const looked = new Set<string>()
      return {
        async claim(request) {
          const isFree = !looked.has(request.key)
          await new Promise(setImmediate)
          looked.add(request.key)
          const claimed = await store.claim(request)
          if (!isFree || claimed.state !== 'busy') return claimed
          const { key, owner, onUncertain } = request
          return { state: 'owned', claim: { key, owner, fence: 1 }, onUncertain }
        },
      }
    },
    noticed: 'is granted to exactly one of fifty at a time',
  },
  'a claim ignores the fingerprint': {
    spoil: ({ claim }) => ({ claim: (request) => claim({ ...request, fingerprint: '' }) }),
    noticed: 'binds a completed key',
  },
  'a claim keeps its own policy only': {
    spoil: ({ claim }) => ({ claim: (request) => claim({ ...request, onUncertain: 'rerun' }) }),
    noticed: "becomes uncertain after its dispatch under 'fail'",
  },
  'a claim that is repeated is a stranger’s': {
    spoil: ({ claim }) => ({
      claim: (request) => claim({ ...request, owner: randomUUID() }),
    }),
    noticed: 'is granted again to an owner who repeats it, for longer',
  },
  'a claim that is repeated tells the policy it began with': {
    spoil({ claim }) {
      const first = new Map<string, 'rerun' | 'fail'>()
      return {
        claim: async (request) => {
          const claimed = await claim(request)
          if (claimed.state !== 'owned') return claimed
          const onUncertain = first.get(request.owner) ?? claimed.onUncertain
          first.set(request.owner, onUncertain)
          return { ...claimed, onUncertain }
        },
      }
    },
    noticed: 'tells its owner about a stricter policy set by others',
  },
  'a claim that is repeated leaves the policy as it was': {
    spoil({ claim }) {
      const seen = new Set<string>()
      return {
        claim: (request) => {
          const isFirst = !seen.has(request.owner)
          seen.add(request.owner)
          return claim(isFirst ? request : { ...request, onUncertain: 'rerun' })
        },
      }
    },
    noticed: 'keeps the stricter policy of its owner',
  },
  'a claim tells of a notice to everybody': {
    spoil: ({ claim }) => ({ claim: (request) => claim({ ...request, waitedFor: 1 }) }),
    noticed: 'does not bind a key that was released',
  },
  'a complete ignores owner and fence': {
    spoil: (store) => withCurrent(store, (current) => ({ complete: current(store.complete) })),
    noticed: 'can no longer change anything',
  },
  'a complete cuts what is long': {
    spoil: ({ complete }) => ({
      complete: (claim, outcome, ttlMs) =>
        complete(
          claim,
          outcome.ok ? { ok: true, result: outcome.result.slice(0, 65_535) } : outcome,
          ttlMs,
        ),
    }),
    noticed: 'may be large',
  },
  'a complete that comes again is lost': {
    spoil({ complete }) {
      const seen = new Set<string>()
      return {
        complete: async (claim, outcome, ttlMs) => {
          const stored = await complete(claim, outcome, ttlMs)
          if (seen.has(claim.owner)) return 'lost'
          seen.add(claim.owner)
          return stored
        },
      }
    },
    noticed: 'may be stored again, and the first one is kept',
  },
  'an outcome lives for ever': {
    spoil: ({ complete }) => ({
      complete: (claim, outcome) => complete(claim, outcome, 1e12),
    }),
    noticed: 'lives for its own ttlMs, not for that of the claim',
  },
  'a heartbeat renews nothing': {
    spoil: () => ({ heartbeat: async () => true }),
    noticed: 'extend the lease',
  },
  'a dispatch is marked without a lease': {
    spoil: (store) => ({
      dispatch: async (claim) =>
        (await store.heartbeat(claim, 500)) && (await store.dispatch(claim)),
    }),
    noticed: 'are denied: no dispatch without a lease',
  },
  'a dispatch is not marked': {
    spoil: ({ heartbeat }) => ({ dispatch: (claim) => heartbeat(claim, 500) }),
    noticed: 'is granted again without undoing a dispatch',
  },
  'a release drops its notice': {
    spoil: ({ release }) => ({ release: (claim) => release(claim) }),
    noticed: 'is returned to callers that waited for its fence, with all its fields',
  },
  'a release frees what may have been done, whoever forbade that': {
    spoil: ({ release }) => ({
      release: (claim, notice, noticeMs) => release(claim, notice, noticeMs),
    }),
    noticed: "of work that may have been done is uncertain once a caller asked for 'fail'",
  },
  'a release takes all that may have been done for uncertain': {
    spoil: ({ release, markUncertain }) => ({
      release: (claim, notice, noticeMs, doubtMs) =>
        doubtMs === undefined ? release(claim, notice, noticeMs) : markUncertain(claim, doubtMs),
    }),
    noticed: "of work that may have been done frees the key under 'rerun'",
  },
  'a release says less than it was told': {
    spoil: ({ release }) => ({
      release: (claim, notice, ...more) => release(claim, notice && { kind: notice.kind }, ...more),
    }),
    noticed: 'is returned to callers that waited for its fence, with all its fields',
  },
  'a notice is told for ever': {
    spoil: ({ release }) => ({
      release: (claim, notice, _, doubtMs) => release(claim, notice, 1e12, doubtMs),
    }),
    noticed: 'is returned for its noticeMs only, even under a new owner',
  },
  'an uncertainty frees its key': {
    spoil: ({ release }) => ({ markUncertain: (claim) => release(claim) }),
    noticed: 'is granted to no caller, under either policy',
  },
  'a verdict may not be a refusal': {
    spoil: ({ resolve }) => ({
      resolve: async (key, verdict, ttlMs) =>
        verdict === 'rerun' || verdict.ok ? resolve(key, verdict, ttlMs) : false,
    }),
    noticed: "takes an operator's refusal",
  },
  'a verdict lives for a moment': {
    spoil: ({ resolve }) => ({ resolve: (key, verdict) => resolve(key, verdict, 0) }),
    noticed: "takes an operator's result",
  },
}

it.each(Object.entries(FAULTS))('is noticed by the suite: %s', async (_, { spoil, noticed }) => {
  const failed = await failuresOf((clock) => {
    const store = memoryStore({ clock })
    return { ...store, ...spoil(store) }
  })
  expect(failed).toContain(noticed)
})

it('the suite finds nothing in a good store', async () => {
  await expect(failuresOf((clock) => memoryStore({ clock }))).resolves.toEqual([])
})

it('the suite takes a good store that is slow for no bad one, and waits long enough', async () => {
  await expect(failuresWhenSlow(() => ({}))).resolves.toEqual([])
})

it.each(Object.entries(FAULTS))(
  'is noticed by the suite where the store is slow too: %s',
  async (_, { spoil, noticed }) => {
    expect(await failuresWhenSlow(spoil)).toContain(noticed)
  },
)

it("is noticed where the store has a clock of its own: a client's counts", async () => {
  const clock: Clock = { ...systemClock, monotonicMs: () => Date.now() }
  await expect(clockFailures(clock)).resolves.toHaveLength(2)
  await expect(clockFailures(systemClock)).resolves.toEqual([])
  expect(Date.now() - performance.timeOrigin - performance.now()).toBeLessThan(60_000)
})

/** Which promises of the suite a store does not keep. */
async function failuresOf(open: (clock: Clock) => Store): Promise<string[]> {
  return failing(
    allOf(() => {
      const clock = new VirtualClock()
      return { store: open(clock), advance: (ms: number) => clock.advance(ms) }
    }),
  )
}

/** The same where each verb takes longer than the leases of the suite, and its clock cannot be moved. */
async function failuresWhenSlow(spoil: Fault['spoil']): Promise<string[]> {
  vi.useFakeTimers()
  onTestFinished(() => {
    vi.useRealTimers()
  })
  let isOver = false
  const failed = failing(
    allOf(() => {
      const store = memoryStore()
      return { store: slow({ ...store, ...spoil(store) }) }
    }),
  ).finally(() => {
    isOver = true
  })
  while (!isOver) await vi.advanceTimersByTimeAsync(100)
  return failed
}

/** Each verb takes effect after 300 ms, and its answer takes 300 more. */
function slow(store: Store): Store {
  const travel = () => new Promise<void>((resolve) => setTimeout(resolve, 300))
  const distant = async <R>(verb: () => Promise<R>): Promise<R> => {
    await travel()
    const answer = await verb()
    await travel()
    return answer
  }
  return {
    name: 'slow',
    claim: (request) => distant(() => store.claim(request)),
    heartbeat: (...given) => distant(() => store.heartbeat(...given)),
    dispatch: (claim) => distant(() => store.dispatch(claim)),
    complete: (...given) => distant(() => store.complete(...given)),
    release: (...given) => distant(() => store.release(...given)),
    markUncertain: (...given) => distant(() => store.markUncertain(...given)),
    resolve: (...given) => distant(() => store.resolve(...given)),
  }
}

async function clockFailures(clock: Clock): Promise<string[]> {
  const tests = allOf(() => ({ store: memoryStore({ clock }) }), { ownClock: true })
  return failing(tests.filter(([name]) => name.includes('ten years')))
}

type Test = readonly [name: string, run: () => Promise<void>]

function allOf(
  open: () => Awaited<ReturnType<Parameters<typeof storeSuite>[1]>>,
  options: Parameters<typeof storeSuite>[3] = {},
): Test[] {
  const tests: Test[] = []
  const describe = (_: string, define: () => void) => define()
  const defined = (name: string, run: () => Promise<void>) => tests.push([name, run])
  storeSuite('any', async () => open(), { describe, it: defined, expect }, options)
  return tests
}

async function failing(tests: readonly Test[]): Promise<string[]> {
  const failed: string[] = []
  for (const [name, run] of tests) await run().catch(() => failed.push(name))
  return failed
}

/** For verbs that act as whoever has the key now, whatever proof they are shown. */
function withCurrent(
  { claim }: Store,
  verbs: (
    current: <Rest extends readonly unknown[], R>(
      verb: (claim: Claim, ...rest: Rest) => R,
    ) => (claim: Claim, ...rest: Rest) => R,
  ) => Partial<Store>,
): Partial<Store> {
  const owners = new Map<string, Claim>()
  return {
    async claim(request) {
      const claimed = await claim(request)
      if (claimed.state === 'owned') owners.set(request.key, claimed.claim)
      return claimed
    },
    ...verbs(
      (verb) =>
        (given, ...rest) =>
          verb(owners.get(given.key) ?? given, ...rest),
    ),
  }
}
