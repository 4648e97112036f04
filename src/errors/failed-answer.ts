import type { Failure } from './call-error.ts'

/** Thrown for an error under status 200 or a broken stream, whose classification is already known. */
export class FailedAnswer extends Error {
  override readonly name = 'FailedAnswer'
  readonly failure: Failure

  constructor(failure: Failure) {
    super(failure.message, { cause: failure.cause })
    this.failure = failure
  }
}
