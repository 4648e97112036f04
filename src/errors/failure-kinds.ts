/** What can go wrong with an attempt or a call. `FAILURE_KINDS` below says how each kind is handled. */
export type FailureKind =
  | 'rate_limit'
  | 'quota_exhausted'
  | 'billing'
  | 'overloaded'
  | 'server_error'
  | 'timeout'
  | 'network'
  | 'dns'
  | 'tls'
  | 'auth'
  | 'permission'
  | 'region_blocked'
  | 'not_found'
  | 'invalid_request'
  | 'request_too_large'
  | 'context_length'
  | 'content_filter'
  | 'refusal'
  | 'conflict'
  | 'truncated'
  | 'empty_response'
  | 'malformed_output'
  | 'schema_mismatch'
  | 'aborted'
  | 'deadline'
  | 'circuit_open'
  | 'budget_exhausted'
  | 'idempotency_mismatch'
  | 'in_progress'
  | 'outcome_unknown'
  | 'store_unavailable'
  | 'multiplied_retries'
  | 'unknown'

/**
 * Whether the provider may have done the work: `'no'` only if it certainly did not, `'yes'` if an
 * answer arrived, `'maybe'` in every other case.
 */
export type Executed = 'no' | 'maybe' | 'yes'

export interface FailureTraits {
  /**
   * Whether the same request may be sent again. `'once'`: one more time per call. `'reask'`: not
   * unchanged, but with the bad answer and its problems appended.
   */
  readonly retry: 'yes' | 'once' | 'reask' | 'no'
  /** Whether this kind is in the default `on` of a fallback. */
  readonly fallsBack: boolean
  /** Whether the provider's refusal is final. Such a failure is stored for ten minutes under the idempotency key. */
  readonly permanent: boolean
  /** Whether steadycall itself decides on this kind, rather than reading it from a response or socket. */
  readonly ours: boolean
  /** What a user can do about it; the last sentence of the error message. */
  readonly advice: string
}

type Meaning = Omit<FailureTraits, 'advice'>
const no: Meaning = {
  retry: 'no',
  fallsBack: false,
  permanent: false,
  ours: false,
}
const transient: Meaning = { ...no, retry: 'yes', fallsBack: true }
const refused: Meaning = { ...no, permanent: true }
const ours: Meaning = { ...no, ours: true }

/** The properties of every failure kind; the rest of the code asks this table instead of comparing kinds. */
export const FAILURE_KINDS: Readonly<Record<FailureKind, FailureTraits>> = {
  rate_limit: {
    ...transient,
    advice: 'Lower the request rate, or call again later.',
  },
  quota_exhausted: {
    ...no,
    fallsBack: true,
    advice: 'Raise the quota at the provider; no retry can help.',
  },
  billing: {
    ...no,
    fallsBack: true,
    advice: 'Settle the account with the provider; no retry can help.',
  },
  overloaded: { ...transient, advice: 'The provider is out of capacity: call again later.' },
  server_error: { ...transient, advice: 'The provider failed: call again later.' },
  timeout: { ...transient, advice: 'Raise attemptTimeoutMs if such calls are known to be slow.' },
  network: { ...transient, advice: 'Check the connection to the provider.' },
  dns: { ...no, advice: "Check the client's baseURL: its host name does not resolve." },
  tls: { ...no, advice: "Check the certificate and protocol of the client's baseURL." },
  auth: { ...no, advice: 'Check the API key.' },
  permission: { ...no, advice: 'Check what this API key may use.' },
  region_blocked: { ...no, advice: 'The provider does not serve this region.' },
  not_found: { ...no, advice: 'Check the model name and the baseURL.' },
  invalid_request: {
    ...refused,
    advice: "Correct the request: the provider's own error is in the cause.",
  },
  request_too_large: {
    ...refused,
    advice: 'Send a smaller request: this one exceeds the limit for a single request.',
  },
  context_length: {
    ...refused,
    fallsBack: true,
    advice: 'Shorten the messages, or add a fallback with a larger context.',
  },
  content_filter: {
    ...refused,
    advice: 'Change the prompt: the provider filtered it, or the answer to it.',
  },
  refusal: { ...refused, advice: 'Change the prompt: the model declined to answer it.' },
  conflict: { ...transient, fallsBack: false, advice: 'Call again later.' },
  truncated: { ...no, advice: "Raise the request's output limit, or set onTruncated: 'extend'." },
  empty_response: { ...no, retry: 'once', advice: 'Call again later, or use another model.' },
  malformed_output: {
    ...no,
    retry: 'reask',
    advice: 'State the format in the prompt, or use a stronger model.',
  },
  schema_mismatch: {
    ...no,
    retry: 'reask',
    advice: 'Describe the failing fields in the schema or the prompt.',
  },
  aborted: { ...ours, advice: "The caller's signal was aborted." },
  deadline: { ...ours, advice: 'Raise deadlineMs.' },
  circuit_open: {
    ...ours,
    fallsBack: true,
    advice: 'The target failed repeatedly, so no calls are sent to it for now: call again later.',
  },
  budget_exhausted: {
    ...ours,
    advice: 'Too many calls to this target are failing to retry them all: call again later.',
  },
  idempotency_mismatch: {
    ...ours,
    advice: 'Use another idempotency key for another payload.',
  },
  in_progress: { ...ours, advice: 'Another caller is running this key: call again later.' },
  outcome_unknown: {
    ...ours,
    advice: 'Find out whether the work was done, then resolve the key with resolveIdempotent().',
  },
  store_unavailable: {
    ...ours,
    advice: "Check the idempotency store, or set onStoreError: 'bypass'.",
  },
  multiplied_retries: {
    ...ours,
    advice: 'Something below or around steadycall retries too: switch its retries off.',
  },
  unknown: { ...no, advice: 'See the cause.' },
}

/** True for a string that names a failure kind. */
export function isFailureKind(value: unknown): value is FailureKind {
  return typeof value === 'string' && Object.hasOwn(FAILURE_KINDS, value)
}

/**
 * What to expect of a new call with the same request, for job queues and users: `'later'` may succeed
 * (not before `retryAfterMs`, if known), `'never'` cannot succeed, and `'unknown'` may do the work a
 * second time. Compare `retryable`, which is about repeating the request within one call.
 */
export type Again = 'later' | 'never' | 'unknown'

export interface AgainFacts {
  readonly kind: FailureKind
  /** Whether the provider may have done the work. @default 'no' */
  readonly executed?: Executed | undefined
  /** Whether the same wrong answer came twice. @default false */
  readonly deterministic?: boolean | undefined
  /** The call's option of this name. @default 'rerun' */
  readonly onUncertain?: 'rerun' | 'fail' | undefined
}

/** Whether the same request is worth a new call later. */
export function againAfter({ kind, executed, deterministic, onUncertain }: AgainFacts): Again {
  const again = AGAIN[kind]
  if (again === 'unless-deterministic') return deterministic === true ? 'never' : 'later'
  if (again !== 'unless-done') return again
  return onUncertain === 'fail' && (executed ?? 'no') !== 'no' ? 'unknown' : 'later'
}

const AGAIN: Readonly<Record<FailureKind, Again | 'unless-deterministic' | 'unless-done'>> = {
  rate_limit: 'later',
  quota_exhausted: 'later',
  billing: 'never',
  overloaded: 'later',
  server_error: 'later',
  timeout: 'later',
  network: 'later',
  dns: 'later',
  tls: 'never',
  auth: 'never',
  permission: 'never',
  region_blocked: 'never',
  not_found: 'never',
  invalid_request: 'never',
  request_too_large: 'never',
  context_length: 'never',
  content_filter: 'never',
  refusal: 'never',
  conflict: 'later',
  truncated: 'never',
  empty_response: 'later',
  malformed_output: 'unless-deterministic',
  schema_mismatch: 'unless-deterministic',
  aborted: 'unless-done',
  deadline: 'unless-done',
  circuit_open: 'later',
  budget_exhausted: 'later',
  idempotency_mismatch: 'never',
  in_progress: 'later',
  outcome_unknown: 'unknown',
  store_unavailable: 'later',
  multiplied_retries: 'never',
  unknown: 'unknown',
}
