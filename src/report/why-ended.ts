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
  max_requests: 'every request is spent',
  hint_exceeds_wait: 'over maxWaitMs',
  hint_exceeds_deadline: 'past the deadline',
  max_wait: 'it may not wait any longer',
  hopeless_wait: 'its turn was not in sight',
  line_full: 'too many calls wait already',
}
