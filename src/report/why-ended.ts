import type { StopReason } from '../errors/call-error.ts'

/** Why no further attempt was made, in words. */
export const WHY_ENDED: Readonly<Record<StopReason, string>> = {
  aborted: 'aborted by the caller',
  delivered: 'part of the answer had been delivered',
  outcome_unknown: 'the work may have been done',
  max_attempts: 'no attempts left',
  deadline: 'no time left',
  not_retryable: 'retrying cannot help',
  repeated_answer: 'the same wrong answer came twice',
  max_reasks: 'no re-asks left',
  reask_refused: 'the re-ask was refused',
  max_requests: 'no requests left',
  hint_exceeds_wait: 'over maxWaitMs',
  hint_exceeds_deadline: 'past the deadline',
  max_wait: 'maxWaitMs is used up',
  hopeless_wait: 'the wait would be too long',
  line_full: 'too many calls are already waiting',
}
