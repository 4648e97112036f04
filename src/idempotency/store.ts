import type { FailureKind } from '../errors/failure-kinds.ts'

/**
 * The contract between the idempotency protocol and a place that keeps records.
 *
 * A record lives under a hashed key and moves through
 * absent → claimed(owner, fence, lease) → dispatched → done | failed | uncertain.
 * Every verb is one atomic step on the store's own clock. A verb of an owner takes effect only
 * while the record still carries that owner and fence, so a late writer can never touch its
 * successor's record. A verb rejects when the store cannot be reached, and only then.
 *
 * All durations are milliseconds from the moment the store executes the verb.
 */
export interface Store {
  /** For messages and spans, such as `memory` or `redis`. */
  readonly name: string

  /**
   * Takes the key, or says why not. Exactly one of any number of concurrent claims gets `owned`.
   * Takes over: an absent or expired record; one `claimed` whose lease ran out; one `dispatched`
   * whose lease ran out, under `onUncertain: 'rerun'` only. Under `'fail'` that last one becomes
   * `uncertain`. The stricter of the record's and the request's `onUncertain` wins and is kept.
   * A `fingerprint` other than the record's gives `mismatch` in every state but `failed` and absent.
   * `owned` raises the fence by one over any earlier owner of a record that still exists.
   */
  claim(request: ClaimRequest): Promise<ClaimResult>

  /** Extends the lease. `false`: the claim is lost. */
  heartbeat(claim: Claim, leaseMs: number): Promise<boolean>

  /** Marks that the work is about to leave this process. `false`: lost, so it must not be sent. */
  dispatch(claim: Claim): Promise<boolean>

  /**
   * Keeps the outcome for `ttlMs`. `stored` also when this claim had stored it already (a lost
   * acknowledgement). `lost`: somebody took over; their record stands.
   */
  complete(claim: Claim, outcome: Outcome, ttlMs: number): Promise<'stored' | 'lost'>

  /**
   * Gives the key back: it is free for the next claim. With a notice, callers whose claim names
   * this fence in `waitedFor` get it, for `noticeMs`, instead of a claim of their own.
   */
  release(claim: Claim, notice?: FailureNotice, noticeMs?: number): Promise<boolean>

  /** The work may have been done and nobody knows: kept for `ttlMs` or until `resolve`. */
  markUncertain(claim: Claim, ttlMs: number): Promise<boolean>

  /**
   * The operator's verdict on an `uncertain` record: `rerun` frees the key, an outcome completes
   * it. `false` when the record is not uncertain.
   */
  resolve(key: string, verdict: 'rerun' | Outcome, ttlMs: number): Promise<boolean>

  /** Present where the store owns something to close. */
  close?(): Promise<void>
}

export interface ClaimRequest {
  /** Hashed: 64 hex digits. */
  readonly key: string
  /** Hash of the payload. */
  readonly fingerprint: string
  /** Random, one per claim. */
  readonly owner: string
  readonly leaseMs: number
  readonly onUncertain: 'rerun' | 'fail'
  /** How long a claim may stand at most, if its owner dies: the record's own expiry. */
  readonly ttlMs: number
  /** The fence of the owner this caller has been waiting for. */
  readonly waitedFor?: number
}

/** Proof of ownership, needed by every verb of an owner. */
export interface Claim {
  readonly key: string
  readonly owner: string
  /** The fencing token: rises with every new owner. */
  readonly fence: number
}

export type ClaimResult =
  | { readonly state: 'owned'; readonly claim: Claim; readonly onUncertain: 'rerun' | 'fail' }
  /** Somebody else is at work; `leaseLeftMs` until they must have renewed. */
  | { readonly state: 'busy'; readonly fence: number; readonly leaseLeftMs: number }
  | { readonly state: 'settled'; readonly outcome: Outcome }
  | { readonly state: 'uncertain' }
  | { readonly state: 'mismatch' }
  /** The owner this caller waited for gave up. */
  | { readonly state: 'left'; readonly notice: FailureNotice }

/** What is kept: the serialized result, or a permanent refusal. */
export type Outcome =
  | { readonly ok: true; readonly result: string }
  | { readonly ok: false; readonly notice: FailureNotice }

/** A failure as others may see it: no message, no body. */
export interface FailureNotice {
  readonly kind: FailureKind
  readonly retryAfterMs?: number
  readonly status?: number
}
