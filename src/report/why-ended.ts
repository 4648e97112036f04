import type { StopReason } from '../errors/call-error.ts'

/** Why no further attempt was made, in words. */
export const WHY_ENDED: Readonly<Record<StopReason, string>> = {
  aborted: 'the caller left',
  delivered: 'a part had reached the caller',
  outcome_unknown: 'it may have been done already',
  max_attempts: 'every attempt is spent',
  deadline: 'no time is left',
  not_retryable: 'retrying cannot help',
  repeated_answer: 'the same wrong answer came twice',
  max_reasks: 'every re-ask is spent',
  reask_refused: 'its re-ask was refused',
  hint_exceeds_max: 'over maxRetryAfterMs',
  hint_exceeds_deadline: 'past the deadline',
  circuit_open: 'the target is being rested',
  retry_budget: 'the retry budget is spent',
  concurrency_limit: 'the concurrency limit left no place',
}
