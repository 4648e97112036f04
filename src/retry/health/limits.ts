import { type NumberOptions, readNumbers } from '../number-options.ts'

/** Bounds of a target that are known beforehand. What is learned of it may only be lower. */
export interface LimitsOptions {
  /** Attempts in flight at the same time; streams count until they have ended. */
  readonly concurrency?: number | undefined
  /** Requests in any minute, sent evenly. */
  readonly requestsPerMinute?: number | undefined
  /** Tokens in any minute, of prompt and answer: estimated when a request is sent, corrected when it ends. */
  readonly tokensPerMinute?: number | undefined
}

/**
 * `'auto'`: what a target can take is learned from it. `'off'`: only its hints, and that it is down,
 * hold calls back. Bounds by hand hold beside what is learned.
 */
export type Limits = 'auto' | 'off' | LimitsOptions

/** A user's function that no other call shares is no provider that could be overloaded. */
export type AnyLimits = Limits | 'none'

/** As a line reads them. */
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
