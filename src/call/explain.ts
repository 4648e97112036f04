import { adviceFor, type Failure, type StopReason } from '../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../errors/failure-kinds.ts'
import type { HeldBy } from '../retry/loop.ts'

interface Explanation {
  readonly failure: Failure
  readonly reason: StopReason
  /** Host, or the name given to `run`. */
  readonly where: string
  /** Attempts made. */
  readonly attempts: number
  readonly elapsedMs: number
  /** Milliseconds left of the deadline. */
  readonly remainingMs: number
  readonly maxWaitMs?: number
  /** What held the call back, where a wait that could not end in time ended it. */
  readonly heldBy?: HeldBy | undefined
  /** How long it waited in all. */
  readonly waitedMs?: number
  readonly deterministic: boolean
  /** What the re-ask met, for `'reask_refused'`. */
  readonly refusal?: Failure | undefined
}

/** What failed, after what, and what to do: the message of a `CallError`, free of content. */
export function explain(input: Explanation): string {
  const { failure, attempts, elapsedMs } = input
  const shown = evidenceOf([failure.status, failure.code])
  const spent =
    attempts === 0
      ? 'before any attempt'
      : `after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'} in ${seconds(elapsedMs)}`
  const title = `${TITLES[failure.kind]} at ${input.where}${shown} ${spent}`
  const parts = [title, ...whyStopped(input), ...details(failure)]
  return `${parts.join('; ')}. ${adviceOn(failure, input.reason, input)}`
}

function whyStopped(input: Explanation): readonly string[] {
  const { failure, reason } = input
  const hint = failure.retryAfterMs
  switch (reason) {
    case 'hint_exceeds_wait':
      return [`it asks to wait ${seconds(hint)}, ${allowedWait(input)}`]
    case 'max_wait':
      return [`the call ${waitedFor(input)}, and maxWaitMs allows ${seconds(input.maxWaitMs)}`]
    case 'hopeless_wait':
      return [`the call ${waitedFor(input)}, and no end of that is in sight`]
    case 'line_full':
      return ['100,000 calls wait for this target already']
    case 'max_requests':
      return ['maxRequests allows no further request']
    case 'hint_exceeds_deadline':
      return [`it asks to wait ${seconds(hint)}, the deadline leaves ${seconds(input.remainingMs)}`]
    case 'deadline':
      return mayBeSentAgain(failure) ? [lateFor(input)] : []
    case 'delivered':
      return ['some of it had been delivered, so it was not sent again']
    case 'repeated_answer':
      return ['the same wrong answer came twice, so a further attempt would not help']
    case 'max_reasks':
      return ['it was not asked for again: every re-ask is spent']
    case 'reask_refused':
      return [`the re-ask was refused${shownEvidence(input.refusal)}`]
    case 'outcome_unknown':
      return failure.executed === 'yes'
        ? ['it was answered, and running it again was not allowed']
        : ['the work may have been done, and running it again was not allowed']
    default:
      return []
  }
}

/** What an earlier wait has used of it is said too: a shorter hint may be too long by then. */
function allowedWait({ maxWaitMs, waitedMs = 0 }: Explanation): string {
  const spent = waitedMs < 1_000 ? '' : ` and ${seconds(waitedMs)} of it are spent`
  return `maxWaitMs allows ${seconds(maxWaitMs)}${spent}`
}

function waitedFor({ heldBy = 'backoff', waitedMs = 0 }: Explanation): string {
  const what = HELD_BY[heldBy]
  return waitedMs < 1
    ? `would have to wait for ${what}`
    : `waited ${seconds(waitedMs)}, last for ${what}`
}

function lateFor(input: Explanation): string {
  const late = 'the deadline leaves no time for another'
  return input.heldBy === undefined ? late : `the call ${waitedFor(input)}, and ${late}`
}

/** What a line holds a call back for, in words. */
const HELD_BY: Readonly<Record<HeldBy, string>> = {
  hint: 'the time that the provider asked for',
  down: 'a target that is down',
  limit: 'a place within the limit of this target',
  budget: 'the retry budget of this target',
  backoff: 'its own backoff',
}

function shownEvidence(refusal: Failure | undefined): string {
  return evidenceOf([refusal?.status, refusal?.kind, refusal?.code])
}

function evidenceOf(parts: readonly unknown[]): string {
  const known = [...new Set(parts.filter((part) => part !== undefined))]
  return known.length === 0 ? '' : ` (${known.join(' ')})`
}

// The first few are enough to see what is wrong; the error's `issues` has them all.
const SHOWN_ISSUES = 3

function details({ detail, issues: all = [] }: Failure): readonly string[] {
  if (all.length === 0) return detail === undefined ? [] : [detail]
  const shown = all.slice(0, SHOWN_ISSUES).map(({ path, message }) => `${path || '/'} ${message}`)
  const more = all.length > SHOWN_ISSUES ? [`${all.length - SHOWN_ISSUES} more`] : []
  return [[...shown, ...more].join(', ')]
}

function seconds(ms: number | undefined): string {
  if (ms === undefined) return 'longer'
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`
  return `${(ms / 1_000).toFixed(ms < 100_000 ? 1 : 0).replace(/\.0$/, '')} s`
}

const TITLES: Readonly<Record<FailureKind, string>> = {
  rate_limit: 'Rate limited',
  quota_exhausted: 'Quota exhausted',
  billing: 'Payment required',
  overloaded: 'Overloaded',
  server_error: 'Server error',
  timeout: 'Timed out',
  network: 'Connection failed',
  dns: 'Host name not found',
  tls: 'TLS handshake failed',
  auth: 'Not authenticated',
  permission: 'Not permitted',
  region_blocked: 'Region not served',
  not_found: 'Not found',
  invalid_request: 'Invalid request',
  request_too_large: 'Request too large',
  context_length: 'Context length exceeded',
  content_filter: 'Content filtered',
  refusal: 'Refused by the model',
  conflict: 'Conflict',
  truncated: 'Answer truncated',
  empty_response: 'Empty response',
  malformed_output: 'Answer is not JSON',
  schema_mismatch: 'Answer does not match the schema',
  aborted: 'Aborted by the caller',
  deadline: 'Deadline exceeded',
  circuit_open: 'Circuit open',
  budget_exhausted: 'Retry budget exhausted',
  idempotency_mismatch: 'Idempotency key used for another payload',
  in_progress: 'Idempotency key still in progress',
  outcome_unknown: 'Outcome unknown',
  store_unavailable: 'Idempotency store unavailable',
  multiplied_retries: 'Retries multiplied outside steadycall',
  unknown: 'Unclassified failure',
}

/** What to do about a call that ended with this failure, for this reason. One sentence or two. */
export function adviceOn(
  failure: Failure,
  reason: StopReason,
  { attempts, deterministic }: { readonly attempts: number; readonly deterministic: boolean },
): string {
  const own = ownAdvice(failure)
  switch (reason) {
    case 'hint_exceeds_wait':
    case 'max_wait':
      return 'Raise maxWaitMs, name a fallback, or call again later.'
    case 'hopeless_wait':
      return 'Call again later, or name a fallback.'
    case 'line_full':
      return 'Send less at a time: wait for calls that are under way before starting others.'
    case 'max_requests':
      return withMore(own, 'raise maxRequests')
    case 'hint_exceeds_deadline':
      return 'Raise deadlineMs, or call again later.'
    case 'delivered':
      return failure.kind === 'timeout'
        ? 'Raise chunkIdleTimeoutMs if this model is known to pause.'
        : own
    case 'max_attempts':
      // Ten is the most that maxAttempts allows; a broken prompt needs no more.
      return attempts < MOST_ATTEMPTS && !deterministic && mayBeSentAgain(failure)
        ? withMore(own, 'raise maxAttempts')
        : own
    case 'deadline':
      return mayBeSentAgain(failure) ? withMore(own, 'raise deadlineMs') : own
    case 'max_reasks':
      return withMore(own, 'raise maxReasks')
    case 'aborted':
    case 'outcome_unknown':
    case 'not_retryable':
    case 'repeated_answer':
    case 'reask_refused':
      return own
    default:
      return reason satisfies never
  }
}

const MOST_ATTEMPTS = 10

/** True where another attempt might have been made: retried, or asked for again. */
function mayBeSentAgain({ kind, retryable }: Failure): boolean {
  return retryable || FAILURE_KINDS[kind].retry === 'reask'
}

function ownAdvice({ kind, status, executed, advice }: Failure): string {
  if (advice !== undefined) return advice
  if (kind === 'invalid_request' && status === undefined && executed === 'no') {
    return 'It cannot be sent as it is: correct the URL, headers or fetch options behind it (see the cause).'
  }
  return adviceFor(kind)
}

/** `Do this, or that.` and more: `Do this, that, or raise maxAttempts.` */
function withMore(advice: string, more: string): string {
  return `${advice.replace(/\.$/, '').replace(', or ', ', ')}, or ${more}.`
}

/** What is warned of where something below retries too. */
export function multiplicationWarning({
  wireRequests,
  gatewayAttempts = 1,
}: {
  readonly wireRequests: number
  readonly gatewayAttempts?: number
}): string {
  if (gatewayAttempts > 1) {
    return (
      `The gateway made ${gatewayAttempts} attempts for one request: it retries or falls back too. ` +
      'Switch that off in its own configuration.'
    )
  }
  const seen =
    wireRequests > 1
      ? `One attempt sent ${wireRequests} HTTP requests`
      : 'A request of ours went out with another retry count'
  return `${seen}: something below steadycall retries too. Switch its retries off.`
}
