import type { FailureKind } from '../../errors/failure-kinds.ts'
import type { Allowance } from '../../errors/rate-limit-headers.ts'
import type { Sign } from './signs.ts'
import type { HeldBy } from './waiting.ts'

/** How an attempt ended, for the line. */
export interface End {
  /** From `enter`. */
  readonly ticket: number
  readonly sentAtMs: number
  readonly sign: Sign
  /** How long the target asked to be left alone, milliseconds; 0: it did not say. */
  readonly hintMs: number
  /** It took a token of the retry budget. */
  readonly paid: boolean
  /** It was not sent after all. @default false */
  readonly unsent?: boolean
  /** What failed, for calls that wait in vain because of it. */
  readonly seen?: Seen | undefined
  /** Tokens it used, where it says so. */
  readonly tokens?: number | undefined
  /** The limits that its headers report. */
  readonly allowances?: readonly Allowance[] | undefined
}

/** What closed a line, without anything of the call that met it. */
export interface Seen {
  readonly kind: FailureKind
  readonly status?: number | undefined
}

/** What holds a call back, and for how long. */
export interface Held {
  readonly by: HeldBy
  /** The shortest possible wait, milliseconds. */
  readonly leastMs: number
  /** The expected wait, spread included, milliseconds; Infinity while the target is down. */
  readonly expectedMs: number
  /** Waiting calls that go before this one. */
  readonly ahead: number
}

/** How a target is doing, for `llm.targets()`. */
export interface LineStatus {
  readonly state: 'up' | 'down' | 'recovering'
  /** Attempts that may be in flight at once; Infinity: no limit is known. */
  readonly limit: number
  readonly inFlight: number
  readonly waiting: number
  /** How long a hint still closes it, milliseconds; 0 when none does. */
  readonly closedForMs: number
  /** How long it has been down, milliseconds; 0 when it is not. */
  readonly downForMs: number
}
