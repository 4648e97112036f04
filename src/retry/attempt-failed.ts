import type { FailedAttempt } from './decide.ts'

/**
 * What p-retry gets to see of a failed attempt, whatever failed: it takes a TypeError for a bug of
 * the operation and never retries one.
 */
export class AttemptFailed extends Error {
  readonly result: FailedAttempt

  constructor(result: FailedAttempt) {
    super('attempt failed')
    this.result = result
  }
}
