import { type NumberOptions, readNumbers } from '../number-options.ts'

/** Bounds of a target that are known beforehand. What is learned of it may only be lower. */
export interface LimitsOptions {
  /** Attempts in flight at the same time; streams count until they end. @default none */
  readonly concurrency?: number | undefined
  /** Requests in any minute, spread evenly. @default none */
  readonly requestsPerMinute?: number | undefined
  /**
   * Tokens in any minute, of prompt and answer: estimated when a request is sent, corrected when it
   * ends. @default none
   */
  readonly tokensPerMinute?: number | undefined
}

/**
 * `'auto'`: what a target can take is learned from it. `'off'`: only hints and outages hold calls
 * back. Bounds set by hand apply beside what is learned.
 */
export type Limits = 'auto' | 'off' | LimitsOptions

/** `'none'`: for a user's own function, which no other call shares: nothing closes its line. */
export type AnyLimits = Limits | 'none'

/** Limits as a line reads them. */
export interface LineLimits {
  readonly learns: boolean
  /** A hint or an outage closes it. */
  readonly closes: boolean
  /** Infinity: none was set. */
  readonly concurrency: number
  readonly requestsPerMinute: number
  readonly tokensPerMinute: number
}

/** @throws TypeError, RangeError naming the option, its value and what is accepted. */
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
