import type { FailureKind } from '../errors/failure-kinds.ts'
import { type NumberOption, readNumber, readNumbers } from './number-options.ts'

/** How long to wait before a retry when the provider gave no hint. */
export interface Backoff {
  /**
   * The wait in milliseconds, finite and not negative. Where it throws or returns anything else,
   * the default, `fullJitter()`, decides instead.
   */
  delayMs(step: BackoffStep): number
}

export interface BackoffStep {
  /** 1 for the first retry on this target. */
  readonly retry: number
  /** What the attempt before failed with. */
  readonly kind: FailureKind
  /** The wait before the retry before this one; 0 for the first. */
  readonly previousDelayMs: number
  /** Uniform in [0, 1). */
  readonly random: () => number
}

export interface BackoffOptions {
  /** Upper bound of the first wait, milliseconds. @default 500 */
  readonly baseMs?: number | undefined
  /**
   * The same after a rate limit, where half a second is rarely enough for a window to move.
   * @default 1000
   */
  readonly rateLimitBaseMs?: number | undefined
  /** No wait is longer, milliseconds. @default 20000 */
  readonly capMs?: number | undefined
}

/**
 * The default: U(0, min(cap, base × 2^(retry − 1))). Of the jitters it spreads callers widest and
 * sends least ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). The cap of 20 s
 * is that of the AWS SDKs' standard retry mode.
 *
 * @throws TypeError, RangeError for a bad option.
 */
export function fullJitter(options: BackoffOptions = {}): Backoff {
  const bounds = readBounds('fullJitter', options)
  return { delayMs: (step) => step.random() * ceilingMs(bounds, step) }
}

/**
 * Half of the exponential wait for certain, the other half random: never at once, at the price of
 * a narrower spread.
 *
 * @throws TypeError, RangeError for a bad option.
 */
export function equalJitter(options: BackoffOptions = {}): Backoff {
  const bounds = readBounds('equalJitter', options)
  return { delayMs: (step) => ceilingMs(bounds, step) * (0.5 + step.random() / 2) }
}

/**
 * min(cap, U(base, 3 × previous wait)): grows from what was really waited instead of from the
 * retry's number (the third variant of the AWS article named at `fullJitter`).
 *
 * @throws TypeError, RangeError for a bad option.
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
 * Always the same wait, in milliseconds. Without jitter callers that failed together come back
 * together: for tests, and for a single caller.
 *
 * @throws TypeError, RangeError for a bad delay.
 */
export function fixed(delayMs: number): Backoff {
  const value = readNumber('fixed: delayMs', delayMs, { ...MILLISECONDS, fallback: Number.NaN })
  return { delayMs: () => value }
}

/**
 * min(cap, base × 2^(retry − 1)), without jitter; see the warning at `fixed`.
 *
 * @throws TypeError, RangeError for a bad option.
 */
export function exponential(options: BackoffOptions = {}): Backoff {
  const bounds = readBounds('exponential', options)
  return { delayMs: (step) => ceilingMs(bounds, step) }
}

/** What the default knows of a retry besides. */
export interface RetryStep extends BackoffStep {
  /** The target is down. */
  readonly isDown: boolean
  /** How long the attempt before took, where it ended by a timeout; else 0. */
  readonly slowMs: number
  /** How long the call may still wait, milliseconds. */
  readonly leftMs: number
  /** How long it has waited so far, milliseconds. */
  readonly waitedMs: number
  /** The call has one request left, and its target has refused everybody lately. */
  readonly isLast: boolean
}

/**
 * The wait before a retry without a hint: as the given backoff says, or by default `fullJitter()` up
 * to 5 s, since a line that is open needs no long waits. While the target is down the waits grow to
 * 20 s, and never to nothing by chance, so that the 12 requests of a lone caller outlast 90 s. The last
 * request comes after a fifth of what the call may still wait, but at most 6 s or as long again as it has
 * waited, so that few requests outlast a short outage and many a long one. After a timeout the waits grow with what it took, since a target that is slow is asked too often
 * already. No wait is longer than the call may wait: its end is the best moment there is left. Found
 * by simulation (docs/concepts/storms.md).
 *
 * A backoff that is the user's own may have bugs, and those must not decide the fate of a call: the
 * default steps in.
 */
export function drawDelayMs(backoff: Backoff | undefined, step: RetryStep): number {
  try {
    const delayMs = backoff?.delayMs(step)
    if (delayMs !== undefined && Number.isFinite(delayMs) && delayMs >= 0) return delayMs
  } catch {}
  const delayMs = defaultDelayMs(step)
  // With less left another wait would only be a burst of requests at the end.
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
/** The attempt after a wait that was cut short starts so long before the end, for the timer's sake. */
const END = { fromMs: 500, slackMs: 100 }
const MOST_SLOW_MS = 10_000

type Bounds = Record<keyof BackoffOptions, number>

// A longer delay than a signed 32-bit integer holds would fire a Node timer at once.
const MILLISECONDS: NumberOption = { fallback: 0, min: 0, max: 2 ** 31 - 1 }

const DEFAULT = fullJitter({ capMs: 5_000 })

function readBounds(owner: string, options: BackoffOptions): Bounds {
  return readNumbers<keyof BackoffOptions>(owner, options, {
    baseMs: { ...MILLISECONDS, fallback: 500 },
    rateLimitBaseMs: { ...MILLISECONDS, fallback: 1_000 },
    capMs: { ...MILLISECONDS, fallback: 20_000 },
  })
}

function ceilingMs(bounds: Bounds, step: BackoffStep): number {
  // 2^1023 is the last finite power of two; past it a base of 0 would give 0 × Infinity, NaN.
  const doublings = Math.min(step.retry - 1, 1023)
  return Math.min(baseOf(bounds, step) * 2 ** doublings, bounds.capMs)
}

function baseOf(bounds: Bounds, step: BackoffStep): number {
  return step.kind === 'rate_limit' ? bounds.rateLimitBaseMs : bounds.baseMs
}
