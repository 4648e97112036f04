import { describe, expect, it } from 'vitest'
import type { Failure } from '../../../src/errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../../../src/errors/failure-kinds.ts'
import {
  type DecideInput,
  decide,
  type FallbackChoice,
  type StepFailure,
} from '../../../src/retry/decide.ts'
import type { Held } from '../../../src/retry/health/line-contract.ts'
import type { HeldBy, PermitRefusal } from '../../../src/retry/health/waiting.ts'
import { failureOf } from './failures.ts'

const FALLBACK = { target: 1, on: new Set<FailureKind>(['server_error']), available: true }

/** What a line does that holds nobody back. */
const FREE: Held = { by: 'backoff', leastMs: 0, expectedMs: 0, ahead: 0 }
const heldBy = (by: HeldBy, leastMs = 0, expectedMs = leastMs): Held => ({
  by,
  leastMs,
  expectedMs,
  ahead: 3,
})
const DOWN = heldBy('down', 0, Infinity)

type Policy = Partial<DecideInput['policy']>
interface Facts extends Partial<Omit<DecideInput, 'result' | 'policy'>> {
  readonly kind?: FailureKind
  readonly failure?: Partial<Failure>
  readonly result?: Partial<Omit<StepFailure, 'ok' | 'failure'>>
  readonly policy?: Policy
}

/** A server error on the first of three attempts, with everything in favour of a retry. */
function inputOf({ kind = 'server_error', failure, result, policy, ...facts }: Facts): DecideInput {
  return {
    result: { ok: false, failure: failureOf(kind, failure), ...result },
    policy: { maxAttempts: 3, maxRequests: 12, maxReasks: 2, onUncertain: 'rerun', ...policy },
    attempts: 1,
    requests: 1,
    reasks: 0,
    aborted: false,
    remainingMs: 100_000,
    patienceMs: 90_000,
    waits: true,
    hintMs: 0,
    retriedOnce: false,
    heldAfter: () => FREE,
    backoffMs: () => 400,
    fallbacks: [],
    ...facts,
  }
}

const stop = (reason: string) => ({ verdict: 'stop', reason })
const RETRY = { verdict: 'retry', delayMs: 400, delaySource: 'backoff' }
const hinted = (delayMs: number) => ({ verdict: 'retry', delayMs, delaySource: 'hint' })

it('accepts a success, whatever else is true', () => {
  const input = inputOf({ aborted: true, attempts: 3, requests: 12, remainingMs: -1 })
  expect(decide({ ...input, result: { ok: true } })).toEqual({ verdict: 'accept' })
})

describe('each step comes before the next', () => {
  // Every row has the evidence of its own step and of all steps below it.
  const hopeless: Facts = { hintMs: 91_000, fallbacks: [{ ...FALLBACK, available: false }] }
  const fallback: Facts = { hintMs: 91_000, fallbacks: [FALLBACK] }
  const retry: Facts = { fallbacks: [FALLBACK] }
  const reask: Facts = { ...retry, kind: 'malformed_output', failure: { retryable: true } }
  const late: Facts = { ...reask, remainingMs: 249 }
  const spentRequests: Facts = { ...late, requests: 12 }
  const spent: Facts = { ...spentRequests, attempts: 3 }
  const uncertain: Facts = { ...spent, policy: { onUncertain: 'fail' } }
  const delivered: Facts = { ...uncertain, result: { delivered: true } }
  const aborted: Facts = { ...delivered, aborted: true }

  it.each([
    { step: 1, facts: aborted, expected: stop('aborted') },
    { step: 2, facts: delivered, expected: stop('delivered') },
    { step: 3, facts: uncertain, expected: stop('outcome_unknown') },
    { step: 4, facts: spent, expected: stop('max_attempts') },
    { step: 4, facts: spentRequests, expected: stop('max_requests') },
    { step: 4, facts: late, expected: stop('deadline') },
    { step: 5, facts: reask, expected: { verdict: 'reask' } },
    { step: 6, facts: retry, expected: RETRY },
    { step: 7, facts: fallback, expected: { verdict: 'fallback', target: 1 } },
    { step: 8, facts: hopeless, expected: stop('hint_exceeds_wait') },
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
      what: "an attempt surely not executed, under 'fail', after one that may have been",
      facts: { failure: { executed: 'no' }, policy: { onUncertain: 'fail', mayHaveRun: true } },
      expected: stop('outcome_unknown'),
    },
    {
      what: 'a single attempt allowed',
      facts: { policy: { maxAttempts: 1 } },
      expected: stop('max_attempts'),
    },
    {
      what: 'a single request allowed',
      facts: { attempts: 0, policy: { maxRequests: 1 } },
      expected: stop('max_requests'),
    },
    {
      what: 'the last but one of the requests, none of them an attempt',
      facts: { attempts: 0, requests: 11 },
      expected: RETRY,
    },
    {
      what: 'all of the requests, none of them an attempt',
      facts: { attempts: 0, requests: 12 },
      expected: stop('max_requests'),
    },
    { what: 'a permanent kind', facts: { kind: 'auth' }, expected: stop('not_retryable') },
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
      what: 'a backoff that ends too late',
      facts: { remainingMs: 649 },
      expected: stop('deadline'),
    },
    { what: 'a backoff that just fits', facts: { remainingMs: 650 }, expected: RETRY },
    {
      what: 'a backoff beyond the patience',
      facts: { patienceMs: 399 },
      expected: stop('max_wait'),
    },
    { what: 'a backoff that just fits the patience', facts: { patienceMs: 400 }, expected: RETRY },
    {
      what: 'a target that is down: it may come up',
      facts: { heldAfter: () => DOWN },
      expected: RETRY,
    },
    {
      what: 'a line whose hint ends after the patience',
      facts: { heldAfter: () => heldBy('hint', 90_001) },
      expected: stop('hint_exceeds_wait'),
    },
    {
      what: 'a line whose hint ends after the deadline',
      facts: { heldAfter: () => heldBy('hint', 99_751), patienceMs: 200_000 },
      expected: stop('hint_exceeds_deadline'),
    },
    {
      what: 'a bound by hand that holds beyond the patience',
      facts: { heldAfter: () => heldBy('limit', 90_001) },
      expected: stop('max_wait'),
    },
    {
      what: 'a long line, which may move faster than it is thought to',
      facts: { heldAfter: () => heldBy('limit', 0, 1e9) },
      expected: RETRY,
    },
  ])('$what → $expected', ({ facts, expected }) => {
    expect(decide(inputOf(facts))).toEqual(expected)
  })

  it.each(Object.keys(FAILURE_KINDS))(
    'a %s before it was sent a second time as its kind says',
    (name) => {
      // A key of FAILURE_KINDS.
      const kind = name as FailureKind
      const { retry } = FAILURE_KINDS[kind]
      const { verdict } = decide(inputOf({ kind }))
      const expected =
        retry === 'reask' ? 'reask' : retry === 'yes' || retry === 'once' ? 'retry' : 'stop'
      expect(verdict).toBe(expected)
    },
  )
})

describe('a hint', () => {
  it.each([
    { hintMs: 90_000, expected: hinted(90_000) },
    { hintMs: 90_001, expected: stop('hint_exceeds_wait') },
  ])('of $hintMs ms against a patience of 90000 → $expected', ({ hintMs, expected }) => {
    expect(decide(inputOf({ hintMs }))).toEqual(expected)
  })

  it.each([
    { remainingMs: 5_250, expected: hinted(5_000) },
    { remainingMs: 5_249, expected: stop('hint_exceeds_deadline') },
  ])('of 5000 ms with $remainingMs ms left → $expected', ({ remainingMs, expected }) => {
    expect(decide(inputOf({ hintMs: 5_000, remainingMs }))).toEqual(expected)
  })

  it('beyond both is one beyond the deadline, which no option lengthens', () => {
    expect(decide(inputOf({ hintMs: 99_751 }))).toEqual(stop('hint_exceeds_deadline'))
  })

  it.each([
    { hintMs: 1, delayMs: 1 },
    { hintMs: 10.5, delayMs: 11 },
    { hintMs: 40_000, delayMs: 40_000 },
  ])('of $hintMs ms waits $delayMs ms, at least', ({ hintMs, delayMs }) => {
    expect(decide(inputOf({ hintMs }))).toEqual(hinted(delayMs))
  })

  it('leaves the backoff alone when it is 0', () => {
    expect(decide(inputOf({ hintMs: 0 }))).toEqual(RETRY)
  })
})

describe('an attempt that its line holds', () => {
  const held = (by: HeldBy, leastMs = 0, expectedMs = leastMs): Facts => ({
    kind: 'overloaded',
    result: { held: heldBy(by, leastMs, expectedMs) },
  })
  const waits = (facts: Facts) => ({ verdict: 'wait', held: facts.result?.held })

  it.each(['hint', 'limit', 'budget', 'backoff'] as const)('by %s waits', (by) => {
    expect(decide(inputOf(held(by, 1_000)))).toEqual(waits(held(by, 1_000)))
  })

  it('by a target that is down waits, though nobody knows for how long', () => {
    const facts = held('down', 0, Infinity)
    expect(decide(inputOf(facts))).toEqual(waits(facts))
  })

  it('waits with its last attempt and request, which have been allowed already', () => {
    const facts = { ...held('limit'), attempts: 3, requests: 12 }
    expect(decide(inputOf(facts))).toEqual(waits(facts))
  })

  it.each([
    { by: 'hint' as const, leastMs: 90_000, remainingMs: 100_000, reason: undefined },
    { by: 'hint' as const, leastMs: 90_001, remainingMs: 100_000, reason: 'hint_exceeds_wait' },
    { by: 'limit' as const, leastMs: 90_001, remainingMs: 100_000, reason: 'max_wait' },
    // Where the deadline leaves less than the patience, it is what ends the call.
    { by: 'hint' as const, leastMs: 50_000, remainingMs: 50_250, reason: undefined },
    { by: 'hint' as const, leastMs: 50_000, remainingMs: 50_249, reason: 'hint_exceeds_deadline' },
    { by: 'limit' as const, leastMs: 50_000, remainingMs: 50_249, reason: 'deadline' },
  ])('by $by for at least $leastMs ms, $remainingMs left: $reason', (given) => {
    const { by, leastMs, remainingMs, reason } = given
    const facts = { ...held(by, leastMs), remainingMs }
    expect(decide(inputOf(facts))).toEqual(reason === undefined ? waits(facts) : stop(reason))
  })

  it('does not wait where the deadline leaves no attempt', () => {
    expect(decide(inputOf({ ...held('limit'), remainingMs: 249 }))).toEqual(stop('deadline'))
  })

  it('does not wait for a caller who has aborted', () => {
    expect(decide(inputOf({ ...held('limit'), aborted: true }))).toEqual(stop('aborted'))
  })

  it.each([
    { by: 'hint' as const, reason: 'hint_exceeds_wait' },
    { by: 'down' as const, reason: 'max_wait' },
    { by: 'limit' as const, reason: 'max_wait' },
  ])('by $by has no patience to wait → $reason', ({ by, reason }) => {
    expect(decide(inputOf({ ...held(by), patienceMs: 0 }))).toEqual(stop(reason))
  })
})

describe('a call that has waited in vain', () => {
  const inVain = (why: PermitRefusal['why'], by: HeldBy = 'down'): Facts => ({
    kind: 'overloaded',
    result: { permitRefusal: { by, why } },
  })

  it.each<{ what: string; facts: Facts; expected: object }>([
    { what: 'aborted', facts: inVain('aborted'), expected: stop('aborted') },
    { what: 'no place in the line', facts: inVain('full'), expected: stop('line_full') },
    { what: 'hopeless', facts: inVain('hopeless'), expected: stop('hopeless_wait') },
    {
      what: 'out of patience',
      facts: { ...inVain('patience'), patienceMs: 0.5 },
      expected: stop('max_wait'),
    },
    {
      what: 'out of time',
      facts: { ...inVain('patience'), remainingMs: 250.9, patienceMs: 5_000 },
      expected: stop('deadline'),
    },
    {
      what: 'a deadline that has moved since: it waits on',
      facts: { ...inVain('patience'), heldAfter: () => DOWN },
      expected: { verdict: 'wait', held: DOWN },
    },
    {
      what: 'a hint beyond its patience',
      facts: {
        ...inVain('too_long', 'hint'),
        patienceMs: 30_000,
        heldAfter: () => ({ by: 'hint', leastMs: 30_001, expectedMs: 30_001, ahead: 0 }),
      },
      expected: stop('hint_exceeds_wait'),
    },
    {
      what: 'a hint that was disproved meanwhile, or for which it has more patience: it waits on',
      facts: { ...inVain('too_long', 'hint'), heldAfter: () => DOWN },
      expected: { verdict: 'wait', held: DOWN },
    },
    {
      what: 'a hint beyond its deadline',
      facts: {
        ...inVain('too_long', 'hint'),
        remainingMs: 50_000,
        heldAfter: () => ({ by: 'hint', leastMs: 50_000, expectedMs: 50_000, ahead: 0 }),
      },
      expected: stop('hint_exceeds_deadline'),
    },
    {
      what: 'a fallback that can take it now',
      facts: {
        ...inVain('hopeless'),
        fallbacks: [{ ...FALLBACK, on: new Set<FailureKind>(['overloaded']) }],
      },
      expected: { verdict: 'fallback', target: 1 },
    },
  ])('$what', ({ facts, expected }) => {
    expect(decide(inputOf(facts))).toEqual(expected)
  })
})

describe('a call that does not wait (maxWaitMs 0)', () => {
  const IMPATIENT: Facts = { waits: false, patienceMs: 0 }

  it('keeps its backoff, which counts against its deadline only', () => {
    expect(decide(inputOf(IMPATIENT))).toEqual(RETRY)
    expect(decide(inputOf({ ...IMPATIENT, remainingMs: 649 }))).toEqual(stop('deadline'))
  })

  it.each([
    {
      what: 'its own hint',
      facts: { hintMs: 1_000 },
      reason: 'hint_exceeds_wait',
    },
    {
      what: 'the hint of another',
      facts: { heldAfter: () => heldBy('hint', 1_000) },
      reason: 'hint_exceeds_wait',
    },
    { what: 'a target that is down', facts: { heldAfter: () => DOWN }, reason: 'max_wait' },
    {
      what: 'a bound set by hand',
      facts: { heldAfter: () => heldBy('limit', 1_000) },
      reason: 'max_wait',
    },
  ])('is refused by $what', ({ facts, reason }) => {
    expect(decide(inputOf({ ...IMPATIENT, ...facts }))).toEqual(stop(reason))
  })

  it.each(['hint', 'down', 'limit'] as const)('goes to a fallback where %s refuses it', (by) => {
    const facts = {
      ...IMPATIENT,
      result: { held: heldBy(by) },
      fallbacks: [FALLBACK],
    }
    expect(decide(inputOf(facts))).toEqual({ verdict: 'fallback', target: 1 })
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
      what: 'is asked for again whatever the line does then',
      facts: { kind: 'malformed_output', heldAfter: () => DOWN },
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
  const takes = (target: number, kind: FailureKind, available = true): FallbackChoice => ({
    target,
    on: new Set([kind]),
    available,
  })
  const THERE = { verdict: 'fallback', target: 1 }

  it('is the first that takes the kind and can take the call now', () => {
    const fallbacks = [
      takes(1, 'billing'),
      takes(2, 'context_length', false),
      takes(3, 'context_length'),
      takes(4, 'context_length'),
    ]
    expect(decide(inputOf({ ...permanent, fallbacks }))).toEqual({ verdict: 'fallback', target: 3 })
  })

  it('leaves the reason of the last step when none is left', () => {
    const fallbacks = [takes(1, 'context_length', false)]
    expect(decide(inputOf({ ...permanent, fallbacks }))).toEqual(stop('not_retryable'))
  })

  it.each<{ what: string; facts: Facts; expected: object }>([
    {
      what: 'a short wait is waited for',
      facts: { hintMs: 2_000, heldAfter: () => heldBy('backoff', 2_000) },
      expected: hinted(2_000),
    },
    {
      what: 'a hint above two seconds is not',
      facts: { hintMs: 2_001, heldAfter: () => heldBy('backoff', 2_001) },
      expected: THERE,
    },
    { what: 'a hint beyond the patience is not', facts: { hintMs: 90_001 }, expected: THERE },
    { what: 'a target that is down is not', facts: { heldAfter: () => DOWN }, expected: THERE },
    {
      what: 'a line thought to take longer is not',
      facts: { heldAfter: () => heldBy('limit', 0, 2_001) },
      expected: THERE,
    },
    { what: 'the last attempt is for the fallback', facts: { attempts: 2 }, expected: THERE },
    {
      what: 'the last request is for the fallback',
      facts: { attempts: 1, requests: 11 },
      expected: THERE,
    },
    { what: 'the last but one is not', facts: { requests: 10 }, expected: RETRY },
    {
      what: 'a held attempt that is thought to go in time waits',
      facts: { result: { held: heldBy('limit', 0, 2_000) } },
      expected: { verdict: 'wait', held: heldBy('limit', 0, 2_000) },
    },
    {
      what: 'a held attempt that is not, goes',
      facts: { result: { held: heldBy('limit', 0, 2_001) } },
      expected: THERE,
    },
    {
      what: 'an attempt held by an outage goes',
      facts: { result: { held: DOWN } },
      expected: THERE,
    },
  ])('takes what would wait long, and what is sent last: $what', ({ facts, expected }) => {
    const fallbacks = [takes(1, 'server_error')]
    expect(decide(inputOf({ fallbacks, ...facts }))).toEqual(expected)
  })

  it('that cannot take the call now takes nothing of that', () => {
    const fallbacks = [takes(1, 'server_error', false)]
    expect(decide(inputOf({ fallbacks, attempts: 2 }))).toEqual(RETRY)
    expect(decide(inputOf({ fallbacks, heldAfter: () => DOWN }))).toEqual(RETRY)
    const result = { held: DOWN }
    expect(decide(inputOf({ fallbacks, result }))).toEqual({ verdict: 'wait', held: DOWN })
  })

  it('does not take what may have been executed and must not be redone', () => {
    const fallbacks = [takes(1, 'server_error')]
    const facts: Facts = { fallbacks, policy: { onUncertain: 'fail' } }
    expect(decide(inputOf(facts))).toEqual(stop('outcome_unknown'))
  })
})
