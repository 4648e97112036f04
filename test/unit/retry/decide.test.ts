import { describe, expect, it } from 'vitest'
import type { Failure } from '../../../src/errors/call-error.ts'
import type { FailureKind } from '../../../src/errors/failure-kinds.ts'
import { type DecideInput, decide, type FailedAttempt } from '../../../src/retry/decide.ts'
import { failureOf } from './failures.ts'

const FALLBACK = { target: 1, on: new Set<FailureKind>(['server_error']), available: true }

type Policy = Partial<DecideInput['policy']>
interface Facts extends Partial<Omit<DecideInput, 'result' | 'policy'>> {
  readonly kind?: FailureKind
  readonly failure?: Partial<Failure>
  readonly result?: Partial<Omit<FailedAttempt, 'ok' | 'failure'>>
  readonly policy?: Policy
}

/** A server error on the first of three attempts, with everything in favour of a retry. */
function inputOf({ kind = 'server_error', failure, result, policy, ...facts }: Facts): DecideInput {
  return {
    result: { ok: false, failure: failureOf(kind, failure), ...result },
    policy: {
      maxAttempts: 3,
      maxReasks: 2,
      maxRetryAfterMs: 60_000,
      onUncertain: 'rerun',
      ...policy,
    },
    attempts: 1,
    reasks: 0,
    aborted: false,
    remainingMs: 100_000,
    hintMs: 0,
    retriedOnce: false,
    breakerClosed: true,
    tokenAvailable: true,
    backoffMs: () => 400,
    random: () => 0.5,
    fallbacks: [],
    ...facts,
  }
}

const stop = (reason: string) => ({ verdict: 'stop', reason })
const RETRY = { verdict: 'retry', delayMs: 400, delaySource: 'backoff' }

it('accepts a success, whatever else is true', () => {
  const input = inputOf({ aborted: true, attempts: 3, remainingMs: -1 })
  expect(decide({ ...input, result: { ok: true } })).toEqual({ verdict: 'accept' })
})

describe('each step comes before the next', () => {
  // Every row has the evidence of its own step and of all steps below it.
  const budget: Facts = { tokenAvailable: false, fallbacks: [{ ...FALLBACK, available: false }] }
  const fallback: Facts = { tokenAvailable: false, fallbacks: [FALLBACK] }
  const retry: Facts = { fallbacks: [FALLBACK] }
  const reask: Facts = { ...retry, kind: 'malformed_output', failure: { retryable: true } }
  const spent: Facts = { ...reask, attempts: 3 }
  const late: Facts = { ...reask, remainingMs: 249 }
  const uncertain: Facts = { ...spent, policy: { onUncertain: 'fail' } }
  const delivered: Facts = { ...uncertain, result: { delivered: true } }
  const aborted: Facts = { ...delivered, aborted: true }

  it.each([
    { step: 1, facts: aborted, expected: stop('aborted') },
    { step: 2, facts: delivered, expected: stop('delivered') },
    { step: 3, facts: uncertain, expected: stop('outcome_unknown') },
    { step: 4, facts: spent, expected: stop('max_attempts') },
    { step: 4, facts: late, expected: stop('deadline') },
    { step: 5, facts: reask, expected: { verdict: 'reask' } },
    { step: 6, facts: retry, expected: RETRY },
    { step: 7, facts: fallback, expected: { verdict: 'fallback', target: 1 } },
    { step: 8, facts: budget, expected: stop('retry_budget') },
  ])('step $step decides $expected', ({ facts, expected }) => {
    expect(decide(inputOf(facts))).toEqual(expected)
  })
})

describe('stops', () => {
  it.each<{ what: string; facts: Facts; expected: object }>([
    { what: 'an attempt that was aborted', facts: { kind: 'aborted' }, expected: stop('aborted') },
    {
      what: 'an attempt cut by the deadline',
      facts: { kind: 'deadline' },
      expected: stop('deadline'),
    },
    {
      what: 'less time than an attempt needs',
      facts: { remainingMs: 249 },
      expected: stop('deadline'),
    },
    {
      what: 'just enough time, at no wait',
      facts: { remainingMs: 250, backoffMs: () => 0 },
      expected: { ...RETRY, delayMs: 0 },
    },
    {
      what: "an answer that came, under 'fail'",
      facts: { failure: { executed: 'yes' }, policy: { onUncertain: 'fail' } },
      expected: stop('outcome_unknown'),
    },
    {
      what: "an attempt surely not executed, under 'fail'",
      facts: { failure: { executed: 'no' }, policy: { onUncertain: 'fail' } },
      expected: RETRY,
    },
    {
      what: 'a single attempt allowed',
      facts: { policy: { maxAttempts: 1 } },
      expected: stop('max_attempts'),
    },
    { what: 'a permanent kind', facts: { kind: 'auth' }, expected: stop('not_retryable') },
    {
      what: 'a permanent kind in the last attempt',
      facts: { kind: 'invalid_request', attempts: 3 },
      expected: stop('not_retryable'),
    },
    {
      what: 'a permanent kind when no time is left',
      facts: { kind: 'invalid_request', remainingMs: 10 },
      expected: stop('not_retryable'),
    },
    {
      what: 'a permanent kind in the last attempt, which a fallback would have taken',
      facts: {
        failure: { retryable: false },
        attempts: 3,
        fallbacks: [FALLBACK],
      },
      expected: stop('max_attempts'),
    },
    {
      what: 'x-should-retry: false on a server error',
      facts: { failure: { retryable: false } },
      expected: stop('not_retryable'),
    },
    {
      what: 'x-should-retry: true on an unknown failure',
      facts: { kind: 'unknown', failure: { retryable: true } },
      expected: RETRY,
    },
    { what: 'an empty response', facts: { kind: 'empty_response' }, expected: RETRY },
    {
      what: 'an empty response after its one retry',
      facts: { kind: 'empty_response', retriedOnce: true },
      expected: stop('not_retryable'),
    },
    {
      what: 'a server error after the one retry of another kind',
      facts: { retriedOnce: true },
      expected: RETRY,
    },
    {
      what: 'a breaker that is not closed',
      facts: { breakerClosed: false },
      expected: stop('circuit_open'),
    },
    {
      what: 'a call refused by the breaker',
      facts: { kind: 'circuit_open' },
      expected: stop('circuit_open'),
    },
    {
      what: 'a backoff that ends too late',
      facts: { remainingMs: 649 },
      expected: stop('deadline'),
    },
    { what: 'a backoff that just fits', facts: { remainingMs: 650 }, expected: RETRY },
    { what: 'an empty budget', facts: { tokenAvailable: false }, expected: stop('retry_budget') },
  ])('$what → $expected', ({ facts, expected }) => {
    expect(decide(inputOf(facts))).toEqual(expected)
  })
})

describe('a hint', () => {
  it.each([
    { hintMs: 60_000, expected: { verdict: 'retry', delayMs: 67_500, delaySource: 'hint' } },
    { hintMs: 60_001, expected: stop('hint_exceeds_max') },
  ])('of $hintMs ms against a maxRetryAfterMs of 60000 → $expected', ({ hintMs, expected }) => {
    expect(decide(inputOf({ hintMs }))).toEqual(expected)
  })

  it.each([
    { remainingMs: 5_250, expected: { verdict: 'retry', delayMs: 5_000, delaySource: 'hint' } },
    { remainingMs: 5_249, expected: stop('hint_exceeds_deadline') },
  ])('of 5000 ms with $remainingMs ms left → $expected', ({ remainingMs, expected }) => {
    expect(decide(inputOf({ hintMs: 5_000, remainingMs }))).toEqual(expected)
  })

  it.each([
    { hintMs: 1, drawn: 0.5, delayMs: 126 },
    { hintMs: 10, drawn: 0, delayMs: 10 },
    { hintMs: 100, drawn: 0.5, delayMs: 225 },
    { hintMs: 4_000, drawn: 0.5, delayMs: 5_000 },
    { hintMs: 40_000, drawn: 0.5, delayMs: 47_500 },
    { hintMs: 10.5, drawn: 0, delayMs: 11 },
  ])('of $hintMs ms waits $delayMs ms when $drawn is drawn', ({ hintMs, drawn, delayMs }) => {
    const verdict = decide(inputOf({ hintMs, random: () => drawn }))
    expect(verdict).toEqual({ verdict: 'retry', delayMs, delaySource: 'hint' })
  })

  it.each([
    // Told 20 s; so long ago as is missing from what is left.
    { hintMs: 20_000, remainingMs: 100_000, delayMs: 25_000 },
    { hintMs: 18_000, remainingMs: 100_000, delayMs: 26_000 },
    { hintMs: 1_000, remainingMs: 100_000, delayMs: 34_500 },
    // The turn gives way to the deadline, so that the random part is left.
    { hintMs: 1_000, remainingMs: 21_250, delayMs: 16_000 },
    { hintMs: 1_000, remainingMs: 5_250, delayMs: 3_000 },
  ])(
    'of 20 s that has $hintMs ms left waits its turn: $delayMs ms',
    ({ hintMs, remainingMs, delayMs }) => {
      const verdict = decide(inputOf({ hintMs, toldMs: 20_000, remainingMs, random: () => 0.5 }))
      expect(verdict).toEqual({ verdict: 'retry', delayMs, delaySource: 'hint' })
    },
  )

  it('leaves no turn to wait for with a stretch of 0', () => {
    const policy = { hintSpread: { stretch: 0 } }
    const verdict = decide(inputOf({ hintMs: 1_000, toldMs: 20_000, policy, random: () => 0.5 }))
    expect(verdict).toEqual({ verdict: 'retry', delayMs: 6_000, delaySource: 'hint' })
  })

  it('spreads no further than the deadline allows', () => {
    const verdict = decide(inputOf({ hintMs: 4_000, remainingMs: 4_450, random: () => 0.5 }))
    expect(verdict).toEqual({ verdict: 'retry', delayMs: 4_100, delaySource: 'hint' })
  })

  it('leaves the backoff alone when it is 0', () => {
    expect(decide(inputOf({ hintMs: 0 }))).toEqual(RETRY)
  })
})

describe('an output failure', () => {
  it.each<{ what: string; facts: Facts; expected: object }>([
    {
      what: 'is asked for again',
      facts: { kind: 'schema_mismatch' },
      expected: { verdict: 'reask' },
    },
    {
      what: 'is asked for again up to maxReasks',
      facts: { kind: 'schema_mismatch', reasks: 1 },
      expected: { verdict: 'reask' },
    },
    {
      what: 'stops at maxReasks',
      facts: { kind: 'schema_mismatch', reasks: 2 },
      expected: stop('max_reasks'),
    },
    {
      what: 'stops when it repeats',
      facts: { kind: 'schema_mismatch', result: { reask: 'repeated' } },
      expected: stop('repeated_answer'),
    },
    {
      what: 'that cannot be asked for again stops',
      facts: { kind: 'schema_mismatch', result: { reask: 'no' } },
      expected: stop('not_retryable'),
    },
    { what: 'truncated is final', facts: { kind: 'truncated' }, expected: stop('not_retryable') },
    {
      what: 'truncated is asked for again where allowed',
      facts: { kind: 'truncated', result: { reask: 'allowed' } },
      expected: { verdict: 'reask' },
    },
    {
      what: 'never needs a token or a closed breaker',
      facts: { kind: 'malformed_output', tokenAvailable: false, breakerClosed: false },
      expected: { verdict: 'reask' },
    },
    {
      what: 'falls back when it repeats and a fallback takes it',
      facts: {
        kind: 'schema_mismatch',
        result: { reask: 'repeated' },
        fallbacks: [{ ...FALLBACK, on: new Set<FailureKind>(['schema_mismatch']) }],
      },
      expected: { verdict: 'fallback', target: 1 },
    },
    {
      what: 'does not fall back where no fallback takes it',
      facts: { kind: 'schema_mismatch', reasks: 2, fallbacks: [FALLBACK] },
      expected: stop('max_reasks'),
    },
  ])('$what', ({ facts, expected }) => {
    expect(decide(inputOf(facts))).toEqual(expected)
  })
})

describe('a fallback', () => {
  const permanent: Facts = { kind: 'context_length' }
  const takes = (target: number, kind: FailureKind, available = true) => ({
    target,
    on: new Set([kind]),
    available,
  })

  it('is the first that takes the kind and is available', () => {
    const fallbacks = [
      takes(1, 'billing'),
      takes(2, 'context_length', false),
      takes(3, 'context_length'),
      takes(4, 'context_length'),
    ]
    expect(decide(inputOf({ ...permanent, fallbacks }))).toEqual({ verdict: 'fallback', target: 3 })
  })

  it('takes over when the hint is too long to wait', () => {
    const fallbacks = [takes(1, 'rate_limit')]
    const input = inputOf({ kind: 'rate_limit', hintMs: 90_000, fallbacks })
    expect(decide(input)).toEqual({ verdict: 'fallback', target: 1 })
  })

  it('leaves the reason of the last step when none is left', () => {
    const fallbacks = [takes(1, 'context_length', false)]
    expect(decide(inputOf({ ...permanent, fallbacks }))).toEqual(stop('not_retryable'))
  })
})
