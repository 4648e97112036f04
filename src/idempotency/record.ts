import { CallError, type CallErrorInit, isCallError } from '../errors/call-error.ts'
import { isFailureKind } from '../errors/failure-kinds.ts'
import { withoutUndefined } from '../without-undefined.ts'
import type { Claim, ClaimRequest, ClaimResult, FailureNotice, Outcome, Store } from './store.ts'

/**
 * A store whose operations are pure steps on one record, for a backend that can read a record, decide and
 * write it back atomically. `apply` does that: it passes the key's unexpired record and the backend's own
 * time to the step, and stores the record that the step returns.
 */
export function storeOf(
  apply: <Answer>(key: string, step: Step<Answer>) => Promise<Answer>,
): Omit<Store, 'name' | 'close'> {
  return {
    claim: (request) => apply(request.key, claimStep(request)),
    heartbeat: (claim, leaseMs) => apply(claim.key, heartbeatStep(claim, leaseMs)),
    dispatch: (claim) => apply(claim.key, dispatchStep(claim)),
    complete: (claim, outcome, ttlMs) => apply(claim.key, completeStep(claim, outcome, ttlMs)),
    release: (claim, notice, noticeMs = 0, doubtMs = undefined) =>
      apply(claim.key, releaseStep(claim, notice, noticeMs, doubtMs)),
    markUncertain: (claim, ttlMs) => apply(claim.key, markUncertainStep(claim, ttlMs)),
    resolve: (key, verdict, ttlMs) => apply(key, resolveStep(verdict, ttlMs)),
  }
}

/** A pure function of the record and the time: returns the operation's answer and the new record. */
export type Step<Answer> = (record: KeyRecord | undefined, nowMs: number) => Stepped<Answer>

export interface Stepped<Answer> {
  readonly answer: Answer
  /** The same object if nothing changes; undefined to remove the record. */
  readonly record: KeyRecord | undefined
}

export interface KeyRecord {
  /** `free`: released; only its fence and notice still matter. */
  readonly state: 'claimed' | 'dispatched' | 'uncertain' | 'settled' | 'free'
  readonly owner: string
  /** The process of `owner`, if the backend can tell whether that process is alive. */
  readonly process?: string | undefined
  readonly fence: number
  readonly fingerprint: string
  readonly onUncertain: 'rerun' | 'fail'
  readonly leaseUntilMs: number
  readonly expiresAtMs: number
  /** Present if and only if `settled`. */
  readonly outcome?: Outcome
  /** A failure that an earlier owner left for the callers that waited for it. */
  readonly left?: {
    readonly fence: number
    readonly notice: FailureNotice
    readonly untilMs: number
  }
}

/** Whether the record has not expired: from `expiresAtMs` on it counts as absent. */
export function isAlive({ expiresAtMs }: KeyRecord, nowMs: number): boolean {
  return nowMs < expiresAtMs
}

export function isLeased({ state, leaseUntilMs }: KeyRecord, nowMs: number): boolean {
  return (state === 'claimed' || state === 'dispatched') && nowMs < leaseUntilMs
}

function claimStep(request: ClaimRequest): Step<ClaimResult> {
  return (record, nowMs) => {
    if (record === undefined) return take(request, undefined, nowMs)
    const { outcome, state } = record
    if (record.fingerprint !== request.fingerprint && state !== 'free') {
      if (outcome?.ok === false) return take(request, record, nowMs)
      return { answer: { state: 'mismatch' }, record }
    }
    if (outcome !== undefined) return { answer: { state: 'settled', outcome }, record }
    const notice = noticeFor(record, request, nowMs)
    if (notice !== undefined) return { answer: { state: 'left', notice }, record }
    if (state === 'free') return take(request, record, nowMs)
    return claimUnsettled(request, tightened(record, request), nowMs)
  }
}

/** The stricter of both policies wins. */
function tightened(record: KeyRecord, { onUncertain }: ClaimRequest): KeyRecord {
  if (onUncertain === 'rerun' || record.onUncertain === 'fail') return record
  return { ...record, onUncertain }
}

function claimUnsettled(
  request: ClaimRequest,
  record: KeyRecord,
  nowMs: number,
): Stepped<ClaimResult> {
  const { state, fence, onUncertain } = record
  if (state !== 'uncertain' && record.owner === request.owner) {
    return owned(request.key, leased(record, nowMs, request.leaseMs))
  }
  if (isLeased(record, nowMs)) {
    return { answer: { state: 'busy', fence, leaseLeftMs: record.leaseUntilMs - nowMs }, record }
  }
  if (state === 'claimed' || (state === 'dispatched' && onUncertain === 'rerun')) {
    return take({ ...request, onUncertain }, record, nowMs)
  }
  const answer = { state: 'uncertain' } as const
  if (state === 'uncertain') return { answer, record }
  return { answer, record: uncertainFor(record, nowMs + request.ttlMs) }
}

/** Makes the request the owner of the key, succeeding `earlier` if a record exists. */
function take(
  { key, fingerprint, owner, leaseMs, onUncertain, ttlMs }: ClaimRequest,
  earlier: KeyRecord | undefined,
  nowMs: number,
): Stepped<ClaimResult> {
  return owned(key, {
    state: 'claimed',
    owner,
    fence: (earlier?.fence ?? 0) + 1,
    fingerprint,
    onUncertain,
    leaseUntilMs: nowMs + leaseMs,
    expiresAtMs: nowMs + Math.max(ttlMs, leaseMs),
    ...(earlier?.left !== undefined && { left: earlier.left }),
  })
}

function owned(key: string, record: KeyRecord): Stepped<ClaimResult> {
  const { owner, fence, onUncertain } = record
  return { answer: { state: 'owned', claim: { key, owner, fence }, onUncertain }, record }
}

function leased(record: KeyRecord, nowMs: number, leaseMs: number): KeyRecord {
  const leaseUntilMs = nowMs + leaseMs
  // A record never expires before the end of a lease it granted.
  return { ...record, leaseUntilMs, expiresAtMs: Math.max(record.expiresAtMs, leaseUntilMs) }
}

function heartbeatStep(claim: Claim, leaseMs: number): Step<boolean> {
  return (record, nowMs) => {
    const held = heldBy(claim, record)
    if (held === undefined || held.state === 'uncertain') return { answer: false, record }
    return { answer: true, record: leased(held, nowMs, leaseMs) }
  }
}

function dispatchStep(claim: Claim): Step<boolean> {
  return (record, nowMs) => {
    const held = heldBy(claim, record)
    if (held === undefined || !isLeased(held, nowMs)) return { answer: false, record }
    return {
      answer: true,
      record: held.state === 'dispatched' ? held : { ...held, state: 'dispatched' },
    }
  }
}

function completeStep(claim: Claim, outcome: Outcome, ttlMs: number): Step<'stored' | 'lost'> {
  return (record, nowMs) => {
    if (record === undefined || !isOf(claim, record) || record.state === 'free') {
      return { answer: 'lost', record }
    }
    const settled =
      record.state === 'settled' ? record : settledWith(record, outcome, nowMs + ttlMs)
    return { answer: 'stored', record: settled }
  }
}

function settledWith(record: KeyRecord, outcome: Outcome, expiresAtMs: number): KeyRecord {
  return { ...record, state: 'settled', outcome, expiresAtMs }
}

function releaseStep(
  claim: Claim,
  notice: FailureNotice | undefined,
  noticeMs: number,
  doubtMs: number | undefined,
): Step<boolean> {
  return (record, nowMs) => {
    const held = heldBy(claim, record)
    if (held === undefined) return { answer: false, record }
    if (doubtMs !== undefined && held.onUncertain === 'fail') {
      return { answer: true, record: uncertainFor(held, nowMs + doubtMs) }
    }
    // The notice of an earlier owner may not have been read by all of its waiters yet.
    const left =
      notice === undefined ? held.left : { fence: held.fence, notice, untilMs: nowMs + noticeMs }
    if (left === undefined || left.untilMs <= nowMs) return { answer: true, record: undefined }
    return { answer: true, record: { ...held, state: 'free', left, expiresAtMs: left.untilMs } }
  }
}

function markUncertainStep(claim: Claim, ttlMs: number): Step<boolean> {
  return (record, nowMs) => {
    const held = heldBy(claim, record)
    if (held === undefined) return { answer: false, record }
    return { answer: true, record: uncertainFor(held, nowMs + ttlMs) }
  }
}

function uncertainFor(record: KeyRecord, expiresAtMs: number): KeyRecord {
  return { ...record, state: 'uncertain', expiresAtMs }
}

function resolveStep(verdict: 'rerun' | Outcome, ttlMs: number): Step<boolean> {
  return (record, nowMs) => {
    if (record?.state !== 'uncertain') return { answer: false, record }
    if (verdict === 'rerun') return { answer: true, record: undefined }
    // Without an owner: the one that left the record uncertain must not take this outcome for its own.
    return {
      answer: true,
      record: settledWith({ ...record, owner: '' }, verdict, nowMs + ttlMs),
    }
  }
}

/** The record, if it belongs to this claim and its owner may still change it. */
function heldBy(claim: Claim, record: KeyRecord | undefined): KeyRecord | undefined {
  if (record === undefined || !isOf(claim, record)) return undefined
  return record.state === 'settled' || record.state === 'free' ? undefined : record
}

function isOf(claim: Claim, { owner, fence }: KeyRecord): boolean {
  return owner === claim.owner && fence === claim.fence
}

function noticeFor(
  { left }: KeyRecord,
  { waitedFor }: ClaimRequest,
  nowMs: number,
): FailureNotice | undefined {
  return left !== undefined && left.fence === waitedFor && nowMs < left.untilMs
    ? left.notice
    : undefined
}

/**
 * The error of a store that finds a record but cannot read it. Unlike a store that is down, it is never
 * bypassed, because the work under that key may have been done.
 */
export function unreadableRecord(key: string, what: string, cause?: unknown): CallError {
  return new CallError({
    kind: 'store_unavailable',
    // Not the kind's usual advice, because 'bypass' does not apply here.
    message:
      `The record ${key.slice(0, 12)}… in the idempotency store is damaged: ${what} cannot be ` +
      'read. Find out whether its work was done, then remove the record or use another key.',
    ...(cause !== undefined && { cause }),
    retryable: false,
    executed: 'maybe',
  })
}

/** The error for every caller of the key; undefined if the store is merely down. */
export function unreadableIn(error: unknown): CallErrorInit | undefined {
  if (!isCallError(error) || error.kind !== 'store_unavailable' || error.retryable) return undefined
  const { kind, message, cause, retryable, executed } = error
  return { kind, message, cause, retryable, executed, source: 'store' }
}

/** Longer than any notice written by this package. */
const MAX_LENGTH = 1_000

/**
 * Reads a notice from JSON in a store. The stored text is not trusted: undefined for anything that is not a
 * notice.
 */
export function readNotice(text: unknown): FailureNotice | undefined {
  if (typeof text !== 'string' || text.length > MAX_LENGTH) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const own = (name: string): unknown =>
    Object.hasOwn(Object(value), name) ? Reflect.get(Object(value), name) : undefined
  const notice = withoutUndefined({
    kind: own('kind'),
    executed: own('executed'),
    retryAfterMs: own('retryAfterMs'),
    status: own('status'),
    origin: own('origin'),
  })
  return isNotice(notice) ? notice : undefined
}

function isNotice(
  said: Readonly<Partial<Record<keyof FailureNotice, unknown>>>,
): said is FailureNotice {
  const { kind, executed, retryAfterMs, status, origin } = said
  return (
    isFailureKind(kind) &&
    (executed === undefined || EXECUTED.includes(executed)) &&
    (retryAfterMs === undefined || isAmount(retryAfterMs)) &&
    (status === undefined || isAmount(status)) &&
    (origin === undefined || isOrigin(origin))
  )
}

const EXECUTED: readonly unknown[] = ['no', 'maybe', 'yes']

/** Only the length is checked here; the telemetry code parses the text. */
function isOrigin(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 100
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
