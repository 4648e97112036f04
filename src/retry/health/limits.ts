import { type NumberOptions, readNumbers } from '../number-options.ts'

/** Known limits of a target. What is learned about the target can only lower them. */
export interface LimitsOptions {
  /** Maximum number of attempts in flight; a stream counts until it ends. @default none */
  readonly concurrency?: number | undefined
  /** Maximum number of requests in any minute, spread evenly. @default none */
  readonly requestsPerMinute?: number | undefined
  /**
   * Maximum number of tokens in any minute, of prompts and answers together. Estimated when a request is
   * sent, and corrected when it ends. @default none
   */
  readonly tokensPerMinute?: number | undefined
}

/**
 * `'auto'`: limits are learned from the target. `'off'`: only hints and outages hold calls back. An object
 * sets limits by hand, in addition to learned ones.
 */
export type Limits = 'auto' | 'off' | LimitsOptions

/** `'none'`: for a user's own function, which is not shared with other calls and never held back. */
export type AnyLimits = Limits | 'none'

/** Limits in the form used by a line. */
export interface LineLimits {
  readonly learns: boolean
  /** Whether hints and outages close the line. */
  readonly closes: boolean
  /** Infinity if not set; the same for those below. */
  readonly concurrency: number
  readonly requestsPerMinute: number
  readonly tokensPerMinute: number
}

/** @throws TypeError, RangeError naming the option, its value and what is allowed. */
export function readLimits(limits: AnyLimits = 'auto'): LineLimits {
  const given = typeof limits === 'string' ? {} : limits
  const closes = limits !== 'none'
  const learns = closes && limits !== 'off'
  return { learns, closes, ...readNumbers('limits', given, LIMIT_NUMBERS) }
}

export const LIMIT_NUMBERS: NumberOptions<keyof LimitsOptions> = {
  concurrency: { fallback: Infinity, min: 1, max: Infinity },
  requestsPerMinute: { fallback: Infinity, min: 1, max: Infinity },
  tokensPerMinute: { fallback: Infinity, min: 1, max: Infinity },
}
