import type { FailureKind } from '../../errors/failure-kinds.ts'
import type { Allowance } from '../../errors/rate-limit-headers.ts'
import type { Sign } from './signs.ts'
import type { HeldBy } from './waiting.ts'

/** How an attempt ended, as reported to the line. */
export interface End {
  /** The ticket returned by `enter`. */
  readonly ticket: number
  readonly sentAtMs: number
  readonly sign: Sign
  /** How long the target asked to wait, in milliseconds; 0 if it did not say. */
  readonly hintMs: number
  /** Whether it took a token of the retry budget. */
  readonly paid: boolean
  /** Whether it was not sent after all. @default false */
  readonly unsent?: boolean
  /** The failure, for calls whose wait fails because of it. */
  readonly seen?: Seen | undefined
  /** Number of tokens used, if reported. */
  readonly tokens?: number | undefined
  /** The rate limits reported in its headers. */
  readonly allowances?: readonly Allowance[] | undefined
}

/** The failure that closed a line, without any details of the call that met it. */
export interface Seen {
  readonly kind: FailureKind
  readonly status?: number | undefined
}

/** What holds a call back, and for how long. */
export interface Held {
  readonly by: HeldBy
  /** The shortest possible wait, in milliseconds. */
  readonly leastMs: number
  /** The expected wait including the spread of a hint, in milliseconds; Infinity while the target is down. */
  readonly expectedMs: number
  /** Number of waiting calls before this one. */
  readonly ahead: number
}

/** The status of a target, for `llm.targets()`. */
export interface LineStatus {
  readonly state: 'up' | 'down' | 'recovering'
  /** How many attempts may be in flight; Infinity if no limit is known. */
  readonly limit: number
  readonly inFlight: number
  readonly waiting: number
  /** How much longer a hint closes it, in milliseconds; 0 if none does. */
  readonly closedForMs: number
  /** How long it has been down, in milliseconds; 0 if it is up. */
  readonly downForMs: number
}
