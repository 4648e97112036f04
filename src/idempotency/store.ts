import type { Executed, FailureKind } from '../errors/failure-kinds.ts'

/**
 * The contract between the idempotency protocol and a place that keeps records.
 *
 * A record lives under a hashed key and moves through
 * absent → claimed(owner, fence, lease) → dispatched → done | failed | uncertain.
 * Every verb is one atomic step on the store's own clock. A verb of an owner takes effect only
 * while the record still carries that owner and fence, so a late writer can never touch its
 * successor's record. A verb rejects when the store cannot do it (unreachable, full), and only then;
 * with a `CallError` of kind `store_unavailable` that is not retryable where the key's record is
 * there but cannot be read, which no `'bypass'` passes over.
 *
 * All durations are milliseconds from the moment the store executes the verb. A record is absent
 * from the instant its time is up, and never before the end of a lease it granted.
 */
export interface Store {
  /** For messages and spans, such as `memory` or `redis`. */
  readonly name: string

  /**
   * Takes the key, or says why not. Exactly one of any number of concurrent claims gets `owned`.
   *
   * In this order: an absent, expired or released key is free. A `fingerprint` other than the
   * record's is a `mismatch`, except that a `failed` record does not bind it: there the key is
   * free. A kept outcome is `settled`. A notice for the fence in `waitedFor` is `left`, also when
   * somebody else has claimed since. A lease that has not run out is `busy`. One that has: a
   * `claimed` record is taken over, a `dispatched` one under `'rerun'` only; under `'fail'` it
   * becomes `uncertain`, for this request's `ttlMs`.
   *
   * A claim that comes again, since its answer may have been lost on the way, gets the same `owned`
   * while the record is still `owner`'s and its work has not ended: never `busy` for itself, and
   * with `leaseMs` from now.
   *
   * The stricter of the record's and the request's `onUncertain` wins and is kept, also by a claim
   * that finds the record busy; a free key begins with the request's. `owned` answers with it, and
   * raises the fence by one over any earlier owner of a record that still exists.
   *
   * So an owner who claims again makes its own policy the record's, where that is the stricter one,
   * and hears of a stricter one that somebody else has left there since. It does so before it sends
   * again what may have been done already.
   */
  claim(request: ClaimRequest): Promise<ClaimResult>

  /** Extends the lease, also one that ran out unnoticed. `false`: the claim is lost. */
  heartbeat(claim: Claim, leaseMs: number): Promise<boolean>

  /**
   * Marks that the work is about to leave this process. `false`: the claim is lost or its lease
   * has run out, so the work must not be sent. Repeating it changes nothing.
   */
  dispatch(claim: Claim): Promise<boolean>

  /**
   * Keeps the outcome for `ttlMs`, also over an uncertainty that arose while the owner was silent.
   * `stored` also when this claim had stored one already, which stands (a lost acknowledgement).
   * `lost`: the record is somebody else's by now, or gone.
   */
  complete(claim: Claim, outcome: Outcome, ttlMs: number): Promise<'stored' | 'lost'>

  /**
   * Gives the key back: it is free for the next claim. With a notice, callers whose claim names
   * this fence in `waitedFor` get it, for `noticeMs`, instead of a claim of their own. `false`:
   * the claim is lost or settled.
   *
   * With `doubtMs` the work may have been done: a record that is under `'fail'` by now becomes
   * `uncertain` for so long instead, since somebody has asked that it be not done again.
   */
  release(
    claim: Claim,
    notice?: FailureNotice,
    noticeMs?: number,
    doubtMs?: number,
  ): Promise<boolean>

  /**
   * The work may have been done and nobody knows: kept for `ttlMs` or until `resolve`. `false`:
   * the claim is lost or settled.
   */
  markUncertain(claim: Claim, ttlMs: number): Promise<boolean>

  /**
   * The operator's verdict on an `uncertain` record: `rerun` frees the key, an outcome completes
   * it for `ttlMs`. Either way the owner that left it has lost its claim. `false` when the record
   * is not uncertain.
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
  /** Random, one per claim: two claims never share it. */
  readonly owner: string
  readonly leaseMs: number
  readonly onUncertain: 'rerun' | 'fail'
  /** How long the record of an owner that dies stands at most, beyond its lease. */
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
  /** Whether the provider may have done the work. Unsaid is unknown: `'maybe'`. */
  readonly executed?: Executed
  readonly retryAfterMs?: number
  readonly status?: number
  /** W3C `traceparent` of the call that met it, where that was traced: at most 100 characters. */
  readonly origin?: string
}
