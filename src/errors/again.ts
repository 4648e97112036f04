import type { Executed, FailureKind } from './failure-kinds.ts'

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
