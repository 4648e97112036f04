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

export type DefineTest = (
  promised: string,
  test: (bench: Bench, expect: TestFunctions['expect']) => Promise<void>,
) => void

// Short, for stores whose clock cannot be moved. Tests repeated on a slow machine use multiples of it.
export const LEASE_MS = 500
// An operation that must happen before a lease or record ends has at least 200 ms for itself and all operations
// before it.
const SLACK_MS = 150
// With this factor a lease lasts half a minute.
export const MOST_TIMES = 64
// For a test that was repeated three times.
export const TIMEOUT_MS = 300_000
export const TTL_MS = 60_000
export const DONE: Outcome = { ok: true, result: '{"answer":42}' }
export const OTHER: Outcome = { ok: true, result: '{"answer":43}' }
const ORIGIN = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
export const REFUSED: Outcome = {
  ok: false,
  notice: {
    kind: 'context_length',
    status: 400,
    retryAfterMs: 1_500,
    executed: 'yes',
    origin: ORIGIN,
  },
}
export const BUSY: FailureNotice = {
  kind: 'rate_limit',
  status: 429,
  retryAfterMs: 7_000,
  executed: 'maybe',
  origin: ORIGIN,
}

/** A store with a key of its own, and helpers for the tests. */
export class Bench {
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

/**
 * A store in which all durations, given or returned, are scaled by `times`. The operations themselves take as
 * long as before.
 */
function stretched(store: Store, times: number): Store {
  const longer = (ms: number | undefined) => (ms === undefined ? undefined : ms * times)
  return {
    name: store.name,
    async claim(request) {
      const { leaseMs, ttlMs } = request
      const claimed = await store.claim({
        ...request,
        leaseMs: leaseMs * times,
        ttlMs: ttlMs * times,
      })
      if (claimed.state !== 'busy') return claimed
      return { ...claimed, leaseLeftMs: claimed.leaseLeftMs / times }
    },
    heartbeat: (claim, leaseMs) => store.heartbeat(claim, leaseMs * times),
    dispatch: (claim) => store.dispatch(claim),
    complete: (claim, outcome, ttlMs) => store.complete(claim, outcome, ttlMs * times),
    release: (claim, notice, noticeMs, doubtMs) =>
      store.release(claim, notice, longer(noticeMs), longer(doubtMs)),
    markUncertain: (claim, ttlMs) => store.markUncertain(claim, ttlMs * times),
    resolve: (key, verdict, ttlMs) => store.resolve(key, verdict, ttlMs * times),
  }
}

export function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
