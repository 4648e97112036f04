import type { Executed, FailureKind } from '../errors/failure-kinds.ts'

/**
 * The contract between the idempotency protocol and a store of records.
 *
 * A record has a hashed key and moves through the states
 * absent → claimed(owner, fence, lease) → dispatched → done | failed | uncertain.
 * Every method is one atomic step on the store's own clock. An owner's method takes effect only while the
 * record still carries that owner and fence, so a late writer can never change its successor's record. A
 * method rejects only if the store cannot do it (unreachable, full). If the key's record exists but cannot be
 * read, it rejects with a `CallError` of kind `store_unavailable` that is not retryable, which
 * `onStoreError: 'bypass'` does not ignore.
 *
 * All durations are in milliseconds from the moment the store executes the method. A record is absent from
 * the instant it expires, and never expires before the end of a lease it granted.
 */
export interface Store {
  /** Used in messages and spans, such as `memory` or `redis`. */
  readonly name: string

  /**
   * Takes the key, or reports why it cannot. Of any number of concurrent claims exactly one gets `owned`.
   *
   * Checked in this order: an absent, expired or released key is free. If `fingerprint` differs from the
   * record's, the result is `mismatch`, unless the record is `failed`; then the key is free. A stored outcome
   * is `settled`. A notice left by the owner with the fence `waitedFor` is `left`, even if there is a new
   * owner since. An unexpired lease is `busy`. After the lease has expired: a `claimed` record is taken over,
   * and so is a `dispatched` one under `'rerun'`; under `'fail'` it becomes `uncertain` for this request's
   * `ttlMs`.
   *
   * A repeated claim (the first answer may have been lost) gets the same `owned`, never `busy`, while the
   * record still belongs to `owner` and its work has not ended; its lease is `leaseMs` from now.
   *
   * The stricter of the record's and the request's `onUncertain` wins and is stored, even if the record is
   * busy; a free key starts with the request's. `owned` returns the result, and a fence one higher than that
   * of any earlier owner of an existing record.
   *
   * By claiming again, an owner can thus make the record's policy stricter, and learns of a stricter one set
   * by another caller meanwhile. It does so before it repeats work that may have been done already.
   */
  claim(request: ClaimRequest): Promise<ClaimResult>

  /** Extends the lease, even one that expired unnoticed. Returns false if the claim is lost. */
  heartbeat(claim: Claim, leaseMs: number): Promise<boolean>

  /**
   * Records that the work is about to leave this process. Returns false if the claim is lost or its lease
   * has expired; then the work must not be sent. Idempotent.
   */
  dispatch(claim: Claim): Promise<boolean>

  /**
   * Stores the outcome for `ttlMs`, even over an `uncertain` state that arose while the owner was silent.
   * `stored` also if this claim has stored an outcome before, which is kept (its acknowledgement may have
   * been lost). `lost`: the record belongs to another owner, or is gone.
   */
  complete(claim: Claim, outcome: Outcome, ttlMs: number): Promise<'stored' | 'lost'>

  /**
   * Frees the key for the next claim. With a notice, callers whose claim names this fence in `waitedFor`
   * get the notice, for `noticeMs`, instead of a claim of their own. Returns false if the claim is lost or
   * settled.
   *
   * `doubtMs` means that the work may have been done: if the record's policy is `'fail'` by now, it becomes
   * `uncertain` for that long instead of free, because a caller has required that it not be repeated.
   */
  release(
    claim: Claim,
    notice?: FailureNotice,
    noticeMs?: number,
    doubtMs?: number,
  ): Promise<boolean>

  /**
   * Records that it is unknown whether the work was done, for `ttlMs` or until `resolve`. Returns false if
   * the claim is lost or settled.
   */
  markUncertain(claim: Claim, ttlMs: number): Promise<boolean>

  /**
   * An operator's decision about an `uncertain` record: `'rerun'` frees the key, an outcome completes it for
   * `ttlMs`. Either way the previous owner's claim is lost. Returns false if the record is not uncertain.
   */
  resolve(key: string, verdict: 'rerun' | Outcome, ttlMs: number): Promise<boolean>

  /** Present if the store owns resources to close. */
  close?(): Promise<void>
}

/** Arguments of `Store.claim`. All durations are in milliseconds. */
export interface ClaimRequest {
  /** Hashed: 64 hex digits. */
  readonly key: string
  /** Hash of the payload. */
  readonly fingerprint: string
  /** Random and unique to this claim. */
  readonly owner: string
  readonly leaseMs: number
  readonly onUncertain: 'rerun' | 'fail'
  /** How long the record of a crashed owner is kept at most, beyond its lease. */
  readonly ttlMs: number
  /** The fence of the owner that this caller has been waiting for. */
  readonly waitedFor?: number
}

/** Proof of ownership, needed by every method of an owner. */
export interface Claim {
  readonly key: string
  readonly owner: string
  /** The fencing token: increases with every new owner. */
  readonly fence: number
}

/** Result of `Store.claim`. */
export type ClaimResult =
  | { readonly state: 'owned'; readonly claim: Claim; readonly onUncertain: 'rerun' | 'fail' }
  /** Another owner is at work; its lease expires in `leaseLeftMs` unless renewed. */
  | { readonly state: 'busy'; readonly fence: number; readonly leaseLeftMs: number }
  | { readonly state: 'settled'; readonly outcome: Outcome }
  | { readonly state: 'uncertain' }
  | { readonly state: 'mismatch' }
  /** The owner that this caller waited for gave up. */
  | { readonly state: 'left'; readonly notice: FailureNotice }

/** What is stored: the serialized result, or a permanent refusal. */
export type Outcome =
  | { readonly ok: true; readonly result: string }
  | { readonly ok: false; readonly notice: FailureNotice }

/** A failure as shown to other callers: without message and body. */
export interface FailureNotice {
  readonly kind: FailureKind
  /** Whether the provider may have done the work. @default 'maybe' */
  readonly executed?: Executed
  readonly retryAfterMs?: number
  readonly status?: number
  /** W3C `traceparent` of the call that failed, if it was traced; at most 100 characters. */
  readonly origin?: string
}
