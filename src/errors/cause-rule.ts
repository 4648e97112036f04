import type { Executed, FailureKind } from './failure-kinds.ts'

/** Conditions on an error that came without a response. All given ones must hold; all text is lower case. */
export interface Cause {
  /** Its `code`; a trailing `*` matches any suffix. */
  readonly code?: string
  /** Its `name`, or the name of its class. */
  readonly name?: string
  /** The name of the error's `cause`. */
  readonly causeName?: string
  /** The system call that failed. */
  readonly syscall?: string
  /** Its whole message. */
  readonly message?: string
  /** A part of its message. */
  readonly text?: string
  /** A part of its stack, such as the function that threw. Read only if the error has no message. */
  readonly stack?: string
}

/** One way in which a request fails without a response. */
export interface CauseRule {
  readonly kind: FailureKind
  /** `'no'` only if the provider cannot have acted on any byte of the request. */
  readonly executed: Executed
  readonly when: Cause
  /** Reported as the failure's code if the error has none. */
  readonly code?: string
  /** Says only that something failed; its `cause`, if it has one, decides. */
  readonly vague?: true
  readonly example: {
    readonly code?: string
    readonly name?: string
    readonly syscall?: string
    readonly message?: string
    readonly stack?: string
    readonly cause?: { readonly name: string }
  }
}
