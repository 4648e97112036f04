import { type Clock, systemClock } from '../time.ts'
import type { Claim, ClaimRequest, ClaimResult, FailureNotice, Outcome, Store } from './store.ts'

export interface MemoryStoreOptions {
  /**
   * How many records are kept at most. Beyond it the least recently used outcome goes first; a
   * live claim and an uncertain record never go.
   * @default 10_000
   */
  readonly maxEntries?: number
  /** @default the system's clock */
  readonly clock?: Clock
}

/**
 * A store in this process's memory: for one process, and gone with it. Every verb is one
 * synchronous step, so callers of one process can rely on the whole contract.
 *
 * `claim` rejects while `maxEntries` live claims leave no room for another.
 * @throws {TypeError} when `maxEntries` is not a positive integer.
 */
export function memoryStore({
  maxEntries = 10_000,
  clock = systemClock,
}: MemoryStoreOptions = {}): Store {
  if (!Number.isSafeInteger(maxEntries) || maxEntries < 1) {
    throw new TypeError(`memoryStore(): maxEntries must be a positive integer, got ${maxEntries}`)
  }
  const records = new Records(maxEntries, clock)
  return {
    name: 'memory',
    claim: async (request) => claim(records, request),
    heartbeat: async (proof, leaseMs) => {
      const record = records.heldBy(proof)
      if (record === undefined || record.state === 'uncertain') return false
      renew(record, records.nowMs(), leaseMs)
      return true
    },
    dispatch: async (proof) => {
      const record = records.heldBy(proof)
      if (record === undefined || !isLeased(record, records.nowMs())) return false
      record.state = 'dispatched'
      return true
    },
    complete: async (proof, outcome, ttlMs) => complete(records, proof, outcome, ttlMs),
    release: async (proof, notice, noticeMs = 0) => release(records, proof, notice, noticeMs),
    markUncertain: async (proof, ttlMs) => {
      const record = records.heldBy(proof)
      if (record === undefined) return false
      record.state = 'uncertain'
      record.expiresAtMs = records.nowMs() + ttlMs
      return true
    },
    resolve: async (key, verdict, ttlMs) => resolve(records, key, verdict, ttlMs),
  }
}

interface MemoryRecord {
  /** `free`: released; stands for its fence and its notice only. */
  state: 'claimed' | 'dispatched' | 'uncertain' | 'settled' | 'free'
  owner: string
  fence: number
  fingerprint: string
  onUncertain: 'rerun' | 'fail'
  leaseUntilMs: number
  expiresAtMs: number
  outcome?: Outcome
  /** What an earlier owner left for those who waited for it. */
  left?: { readonly fence: number; readonly notice: FailureNotice; readonly untilMs: number }
}

function claim(records: Records, request: ClaimRequest): ClaimResult {
  const record = records.get(request.key)
  const nowMs = records.nowMs()
  if (record === undefined) return take(records, request, undefined)
  const { outcome } = record
  if (record.fingerprint !== request.fingerprint && record.state !== 'free') {
    return outcome?.ok === false ? take(records, request, record) : { state: 'mismatch' }
  }
  if (outcome !== undefined) return { state: 'settled', outcome }
  const left = noticeFor(record, request, nowMs)
  if (left !== undefined) return { state: 'left', notice: left }
  if (record.state === 'free') return take(records, request, record)
  return claimUnsettled(records, request, record)
}

function claimUnsettled(
  records: Records,
  request: ClaimRequest,
  record: MemoryRecord,
): ClaimResult {
  const nowMs = records.nowMs()
  if (request.onUncertain === 'fail') record.onUncertain = 'fail'
  const { onUncertain, fence } = record
  if (record.owner === request.owner && record.state !== 'uncertain') {
    renew(record, nowMs, request.leaseMs)
    const { key, owner } = request
    return { state: 'owned', claim: { key, owner, fence }, onUncertain }
  }
  if (isLeased(record, nowMs)) {
    return { state: 'busy', fence, leaseLeftMs: record.leaseUntilMs - nowMs }
  }
  if (record.state === 'claimed' || (record.state === 'dispatched' && onUncertain === 'rerun')) {
    return take(records, { ...request, onUncertain }, record)
  }
  if (record.state === 'dispatched') {
    record.state = 'uncertain'
    record.expiresAtMs = nowMs + request.ttlMs
  }
  return { state: 'uncertain' }
}

/** Makes the request the key's owner, after `earlier` where a record still exists. */
function take(
  records: Records,
  { key, fingerprint, owner, leaseMs, onUncertain, ttlMs }: ClaimRequest,
  earlier: MemoryRecord | undefined,
): ClaimResult {
  const nowMs = records.nowMs()
  const fence = (earlier?.fence ?? 0) + 1
  records.put(key, {
    state: 'claimed',
    owner,
    fence,
    fingerprint,
    onUncertain,
    leaseUntilMs: nowMs + leaseMs,
    expiresAtMs: nowMs + Math.max(ttlMs, leaseMs),
    ...(earlier?.left !== undefined && { left: earlier.left }),
  })
  return { state: 'owned', claim: { key, owner, fence }, onUncertain }
}

function renew(record: MemoryRecord, nowMs: number, leaseMs: number): void {
  record.leaseUntilMs = nowMs + leaseMs
  // A record is never gone before the end of a lease it granted.
  record.expiresAtMs = Math.max(record.expiresAtMs, record.leaseUntilMs)
}

function complete(
  records: Records,
  proof: Claim,
  outcome: Outcome,
  ttlMs: number,
): 'stored' | 'lost' {
  const record = records.of(proof)
  if (record === undefined || record.state === 'free') return 'lost'
  if (record.state !== 'settled') settle(records, proof.key, record, outcome, ttlMs)
  return 'stored'
}

function settle(
  records: Records,
  key: string,
  record: MemoryRecord,
  outcome: Outcome,
  ttlMs: number,
): void {
  record.state = 'settled'
  record.outcome = outcome
  record.expiresAtMs = records.nowMs() + ttlMs
  records.put(key, record)
}

function release(
  records: Records,
  proof: Claim,
  notice: FailureNotice | undefined,
  noticeMs: number,
): boolean {
  const record = records.heldBy(proof)
  if (record === undefined) return false
  const nowMs = records.nowMs()
  if (notice !== undefined) {
    record.left = { fence: record.fence, notice, untilMs: nowMs + noticeMs }
  }
  // An earlier owner's notice may still have readers.
  const untilMs = record.left?.untilMs ?? nowMs
  if (untilMs <= nowMs) {
    records.delete(proof.key)
    return true
  }
  record.state = 'free'
  record.expiresAtMs = untilMs
  records.put(proof.key, record)
  return true
}

function resolve(
  records: Records,
  key: string,
  verdict: 'rerun' | Outcome,
  ttlMs: number,
): boolean {
  const record = records.get(key)
  if (record?.state !== 'uncertain') return false
  if (verdict === 'rerun') {
    records.delete(key)
    return true
  }
  // Nobody's: the owner that left it uncertain must not take this outcome for its own.
  record.owner = ''
  settle(records, key, record, verdict, ttlMs)
  return true
}

function noticeFor(
  { left }: MemoryRecord,
  { waitedFor }: ClaimRequest,
  nowMs: number,
): FailureNotice | undefined {
  return left !== undefined && left.fence === waitedFor && nowMs < left.untilMs
    ? left.notice
    : undefined
}

function isLeased({ state, leaseUntilMs }: MemoryRecord, nowMs: number): boolean {
  return (state === 'claimed' || state === 'dispatched') && nowMs < leaseUntilMs
}

/** The bounded map: open records apart from those that may be evicted, each oldest use first. */
class Records {
  readonly #open = new Map<string, MemoryRecord>()
  readonly #evictable = new Map<string, MemoryRecord>()
  readonly #maxEntries: number
  readonly #clock: Clock

  constructor(maxEntries: number, clock: Clock) {
    this.#maxEntries = maxEntries
    this.#clock = clock
  }

  nowMs(): number {
    return this.#clock.monotonicMs()
  }

  /** The key's record unless its time is up. Counts as a use. */
  get(key: string): MemoryRecord | undefined {
    const record = this.#open.get(key) ?? this.#evictable.get(key)
    if (record === undefined) return undefined
    if (record.expiresAtMs <= this.nowMs()) {
      this.delete(key)
      return undefined
    }
    if (this.#evictable.delete(key)) this.#evictable.set(key, record)
    return record
  }

  /** The record while it carries this owner and fence. */
  of({ key, owner, fence }: Claim): MemoryRecord | undefined {
    const record = this.get(key)
    return record?.owner === owner && record.fence === fence ? record : undefined
  }

  /** The same while its owner may still decide about it. */
  heldBy(proof: Claim): MemoryRecord | undefined {
    const record = this.of(proof)
    return record?.state === 'settled' || record?.state === 'free' ? undefined : record
  }

  put(key: string, record: MemoryRecord): void {
    const isNew = !this.#open.has(key) && !this.#evictable.has(key)
    if (isNew) this.#makeRoom()
    this.delete(key)
    const evictable = record.state === 'settled' || record.state === 'free'
    const home = evictable ? this.#evictable : this.#open
    home.set(key, record)
  }

  delete(key: string): void {
    this.#open.delete(key)
    this.#evictable.delete(key)
  }

  #makeRoom(): void {
    this.#dropExpired()
    if (this.#size < this.#maxEntries) return
    for (const key of this.#evictable.keys()) {
      this.#evictable.delete(key)
      return
    }
    for (const [key, record] of this.#open) if (this.#isDead(record)) this.#open.delete(key)
    if (this.#size < this.#maxEntries) return
    throw new Error(
      `The memory store is full: all of its ${this.#maxEntries} records are live claims or ` +
        'uncertain. Raise maxEntries.',
    )
  }

  get #size(): number {
    return this.#open.size + this.#evictable.size
  }

  /** Up to the first that is still wanted: a little with each new record, so no timer is needed. */
  #dropExpired(): void {
    const nowMs = this.nowMs()
    for (const [key, record] of this.#evictable) {
      if (record.expiresAtMs > nowMs) return
      this.#evictable.delete(key)
    }
  }

  /** Whether the next claim would take it over anyway: then forgetting it changes nothing. */
  #isDead(record: MemoryRecord): boolean {
    const nowMs = this.nowMs()
    if (record.expiresAtMs <= nowMs) return true
    if (record.state === 'uncertain' || isLeased(record, nowMs)) return false
    return record.state === 'claimed' || record.onUncertain === 'rerun'
  }
}
