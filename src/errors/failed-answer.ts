import type { Failure } from './call-error.ts'

/** An answer under 200 that is none, or a stream that broke: what it means is already known. */
export class FailedAnswer extends Error {
  override readonly name = 'FailedAnswer'
  readonly failure: Failure

  constructor(failure: Failure) {
    super(failure.message, { cause: failure.cause })
    this.failure = failure
  }
}
