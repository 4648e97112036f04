import type { Failure } from '../../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../../errors/failure-kinds.ts'
import type { Allowance } from '../../errors/hints.ts'
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

/**
 * What the end of an attempt says about its target:
 *
 * - `success`: a good answer
 * - `answered`: another answer that shows that the target is up (a 400, an exhausted quota, a bad answer)
 * - `limited`: a rate limit
 * - `refused`: not executed, because of missing capacity or connection
 * - `slow`: no answer in time
 * - `error`: failed after execution had begun
 * - `nothing`: never sent, aborted, or a failure that did not reach the target
 */
export type Sign = 'success' | 'answered' | 'limited' | 'refused' | 'slow' | 'error' | 'nothing'

const SIGNS: Partial<Record<FailureKind, Sign>> = {
  rate_limit: 'limited',
  overloaded: 'refused',
  timeout: 'slow',
  server_error: 'error',
  // These did not reach the target, for reasons other than its load.
  dns: 'nothing',
  tls: 'nothing',
}

/** What a failed attempt says about its target. */
export function signOf({ kind, executed, status }: Failure): Sign {
  if (kind === 'network') return executed === 'no' ? 'refused' : 'error'
  const known = SIGNS[kind]
  if (known !== undefined) return known
  if (FAILURE_KINDS[kind].ours) return 'nothing'
  return kind === 'unknown' && status === undefined ? 'nothing' : 'answered'
}

/** The latest failure behind each reason to hold a call. */
export class SeenFailures {
  readonly #latest: Partial<Record<Exclude<HeldBy, 'backoff'>, Seen | undefined>> = {}

  of(by: Exclude<HeldBy, 'backoff'>): Seen | undefined {
    return this.#latest[by]
  }

  note(sign: Sign, seen: Seen, hintMs: number): void {
    const latest = this.#latest
    if (sign === 'limited' || sign === 'refused') {
      if (hintMs > 0) latest.hint = seen
      latest.limit = seen
    }
    if (sign === 'slow') latest.limit = seen
    if (sign === 'slow' || sign === 'error') latest.budget = seen
    if (sign !== 'answered' && sign !== 'nothing') latest.down = seen
  }

  forgetLimit(): void {
    this.#latest.limit = undefined
  }
}
