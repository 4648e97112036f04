import type { FailureKind } from '../errors/failure-kinds.ts'
import { type NumberOption, readNumber, readNumbers } from './health/limit-options.ts'

/** How long to wait before a retry if the provider gave no hint. */
export interface Backoff {
  /**
   * The wait in milliseconds, finite and not negative. If it throws or returns anything else, the default
   * `fullJitter()` is used instead.
   */
  delayMs(step: BackoffStep): number
}

/** What a backoff knows about the next retry. */
export interface BackoffStep {
  /** The number of the retry on this target, counted from 1. */
  readonly retry: number
  /** The failure kind of the previous attempt. */
  readonly kind: FailureKind
  /** The wait before the previous retry, in milliseconds; 0 for the first. */
  readonly previousDelayMs: number
  /** Random numbers, uniform in [0, 1). */
  readonly random: () => number
}

/** Bounds of a backoff, in milliseconds. */
export interface BackoffOptions {
  /** Upper bound of the first wait, in milliseconds. @default 500 */
  readonly baseMs?: number | undefined
  /**
   * The same after a rate limit, in milliseconds: half a second is rarely long enough for it to reset.
   * @default 1_000
   */
  readonly rateLimitBaseMs?: number | undefined
  /** Upper bound of every wait, in milliseconds. @default 20_000 */
  readonly capMs?: number | undefined
}

/**
 * The default: U(0, min(cap, base × 2^(retry − 1))). Of the usual kinds of jitter it spreads callers the most
 * and sends the fewest requests ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). The cap of
 * 20 s is that of the standard retry mode of the AWS SDKs.
 *
 * @throws TypeError, RangeError for an invalid option.
 */
export function fullJitter(options: BackoffOptions = {}): Backoff {
  const bounds = readBounds('fullJitter', options)
  return { delayMs: (step) => step.random() * ceilingMs(bounds, step) }
}

/**
 * Half of the exponential wait is fixed, the other half random: never immediate, but with a narrower spread.
 *
 * @throws TypeError, RangeError for an invalid option.
 */
export function equalJitter(options: BackoffOptions = {}): Backoff {
  const bounds = readBounds('equalJitter', options)
  return { delayMs: (step) => ceilingMs(bounds, step) * (0.5 + step.random() / 2) }
}

/**
 * min(cap, U(base, 3 × previous wait)): grows from the previous wait rather than the number of the retry (the
 * third variant in the AWS article cited at `fullJitter`).
 *
 * @throws TypeError, RangeError for an invalid option.
 */
export function decorrelatedJitter(options: BackoffOptions = {}): Backoff {
  const bounds = readBounds('decorrelatedJitter', options)
  return {
    delayMs(step) {
      const baseMs = baseOf(bounds, step)
      const previousMs = Math.min(Math.max(step.previousDelayMs, baseMs), bounds.capMs)
      const drawnMs = baseMs + step.random() * Math.max(previousMs * 3 - baseMs, 0)
      return Math.min(drawnMs, bounds.capMs)
    },
  }
}

/**
 * Always the same wait, in milliseconds. Without jitter, callers that failed together retry together, so use
 * it only for tests or a single caller.
 *
 * @throws TypeError, RangeError for an invalid delay.
 */
export function fixed(delayMs: number): Backoff {
  const value = readNumber('fixed: delayMs', delayMs, { ...MILLISECONDS, fallback: Number.NaN })
  return { delayMs: () => value }
}

/**
 * min(cap, base × 2^(retry − 1)), without jitter; see the warning at `fixed`.
 *
 * @throws TypeError, RangeError for an invalid option.
 */
export function exponential(options: BackoffOptions = {}): Backoff {
  const bounds = readBounds('exponential', options)
  return { delayMs: (step) => ceilingMs(bounds, step) }
}

/** Further facts used by the default backoff. */
export interface RetryStep extends BackoffStep {
  /** Whether the target is down. */
  readonly isDown: boolean
  /** How long the previous attempt took if it timed out, otherwise 0; in milliseconds. */
  readonly slowMs: number
  /** How long the call may still wait, in milliseconds. */
  readonly leftMs: number
  /** How long the call has waited so far, in milliseconds. */
  readonly waitedMs: number
  /** Whether the call has one request left while its target is failing. */
  readonly isLast: boolean
}

/**
 * The wait before a retry without a hint: that of the given backoff, or by default `fullJitter()` up to 5 s,
 * since an open line needs no long waits. The default has three exceptions:
 * - While the target is down, the waits grow to 20 s and are never close to 0, so that the 12 requests of a
 *   single caller last for 90 s.
 * - The last request waits for a fifth of the remaining time, but at most 6 s or as long as the call has
 *   waited so far, so that few requests outlast a short outage and many a long one.
 * - After a timeout, the waits grow with the time it took, because a slow target already gets too many
 *   requests.
 *
 * No wait exceeds what the call may still wait; it is shortened to end just before that. All numbers were
 * found by simulation (docs/concepts/storms.md).
 *
 * A bug in a user's own backoff must not decide the fate of a call, so the default is used instead.
 */
export function drawDelayMs(backoff: Backoff | undefined, step: RetryStep): number {
  try {
    const delayMs = backoff?.delayMs(step)
    if (delayMs !== undefined && Number.isFinite(delayMs) && delayMs >= 0) return delayMs
  } catch {}
  const delayMs = defaultDelayMs(step)
  // With less time left, the next wait would only add to a burst of requests at the end.
  return step.leftMs < END.fromMs ? delayMs : Math.min(delayMs, step.leftMs - END.slackMs)
}

function defaultDelayMs(step: RetryStep): number {
  const { isDown, slowMs, leftMs, waitedMs, isLast, random } = step
  if (slowMs > 0) {
    return DEFAULT.delayMs(step) + Math.min(slowMs, MOST_SLOW_MS) * (0.5 + random())
  }
  const grownMs = isDown ? Math.min(DOWN.baseMs * DOWN.growth ** step.retry, DOWN.capMs) : 0
  const lastMs = Math.min(leftMs * LAST.share, Math.max(LAST.mostMs, waitedMs))
  const leastMs = Math.max(grownMs, isLast ? lastMs : 0)
  return leastMs > 0 ? leastMs * (1 - DOWN.jitter * random()) : DEFAULT.delayMs(step)
}

const DOWN = { baseMs: 250, growth: 1.8, capMs: 20_000, jitter: 0.25 }
const LAST = { share: 0.2, mostMs: 6_000 }
/** An attempt after a shortened wait starts this long before the end, because timers may be late. */
const END = { fromMs: 500, slackMs: 100 }
const MOST_SLOW_MS = 10_000

type BackoffBounds = Record<keyof BackoffOptions, number>

// Node fires a timer at once if its delay exceeds a signed 32-bit integer.
const MILLISECONDS: NumberOption = { fallback: 0, min: 0, max: 2 ** 31 - 1 }

const DEFAULT = fullJitter({ capMs: 5_000 })

function readBounds(owner: string, options: BackoffOptions): BackoffBounds {
  return readNumbers<keyof BackoffOptions>(owner, options, {
    baseMs: { ...MILLISECONDS, fallback: 500 },
    rateLimitBaseMs: { ...MILLISECONDS, fallback: 1_000 },
    capMs: { ...MILLISECONDS, fallback: 20_000 },
  })
}

function ceilingMs(bounds: BackoffBounds, step: BackoffStep): number {
  // 2^1023 is the last finite power of two; beyond it, a base of 0 would give 0 × Infinity = NaN.
  const doublings = Math.min(step.retry - 1, 1023)
  return Math.min(baseOf(bounds, step) * 2 ** doublings, bounds.capMs)
}

function baseOf(bounds: BackoffBounds, step: BackoffStep): number {
  return step.kind === 'rate_limit' ? bounds.rateLimitBaseMs : bounds.baseMs
}
