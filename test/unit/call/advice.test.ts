import { describe, expect, it } from 'vitest'
import { adviceOn, explain } from '../../../src/call/explain.ts'
import type { Failure, StopReason } from '../../../src/errors/call-error.ts'
import {
  FAILURE_KINDS,
  type FailureKind,
  isFailureKind,
} from '../../../src/errors/failure-kinds.ts'
import { WHY_ENDED } from '../../../src/report/format-report.ts'

const KINDS = Object.keys(FAILURE_KINDS).filter(isFailureKind)
// One row per reason there is: the compiler says so.
const REASONS = Object.keys(WHY_ENDED) as StopReason[]

function failureOf(kind: FailureKind, more: Partial<Failure> = {}): Failure {
  const { retry } = FAILURE_KINDS[kind]
  const retryable = retry === 'yes' || retry === 'once'
  return { kind, retryable, executed: 'maybe', message: kind, cause: undefined, ...more }
}

const everyEnd = KINDS.flatMap((kind) => REASONS.map((reason) => [kind, reason] as const))

describe('what the message of an error advises', () => {
  it.each<[FailureKind, StopReason, string]>([
    [
      'rate_limit',
      'max_attempts',
      'Lower the request rate, call again later, or raise maxAttempts.',
    ],
    ['rate_limit', 'deadline', 'Lower the request rate, call again later, or raise deadlineMs.'],
    ['rate_limit', 'hint_exceeds_wait', 'Raise maxWaitMs, name a fallback, or call again later.'],
    ['overloaded', 'max_wait', 'Raise maxWaitMs, name a fallback, or call again later.'],
    ['overloaded', 'hopeless_wait', 'Call again later, or name a fallback.'],
    ['rate_limit', 'hint_exceeds_deadline', 'Raise deadlineMs, or call again later.'],
    ['rate_limit', 'not_retryable', 'Lower the request rate, or call again later.'],
    ['rate_limit', 'delivered', 'Lower the request rate, or call again later.'],
    [
      'overloaded',
      'line_full',
      'Send less at a time: wait for calls that are under way before starting others.',
    ],
    [
      'overloaded',
      'max_requests',
      'The provider is out of capacity: call again later, or raise maxRequests.',
    ],
    [
      'timeout',
      'max_attempts',
      'Raise attemptTimeoutMs if such calls are known to be slow, or raise maxAttempts.',
    ],
    [
      'timeout',
      'deadline',
      'Raise attemptTimeoutMs if such calls are known to be slow, or raise deadlineMs.',
    ],
    ['timeout', 'delivered', 'Raise chunkIdleTimeoutMs if this model is known to pause.'],
    [
      'overloaded',
      'max_attempts',
      'The provider is out of capacity: call again later, or raise maxAttempts.',
    ],
    ['network', 'deadline', 'Check the connection to the provider, or raise deadlineMs.'],
    ['deadline', 'deadline', 'Raise deadlineMs.'],
    ['auth', 'max_attempts', 'Check the API key.'],
    ['auth', 'deadline', 'Check the API key.'],
    [
      'truncated',
      'max_attempts',
      "Raise the request's output limit, or set onTruncated: 'extend'.",
    ],
    [
      'malformed_output',
      'max_reasks',
      'State the format in the prompt, use a stronger model, or raise maxReasks.',
    ],
    [
      'malformed_output',
      'max_attempts',
      'State the format in the prompt, use a stronger model, or raise maxAttempts.',
    ],
    [
      'schema_mismatch',
      'repeated_answer',
      'Describe the failing fields in the schema or the prompt.',
    ],
    [
      'outcome_unknown',
      'outcome_unknown',
      'Find out whether the work was done, then resolve the key with resolveIdempotent().',
    ],
    ['empty_response', 'not_retryable', 'Call again later, or use another model.'],
    ['aborted', 'aborted', "The caller's signal was aborted."],
  ])('%s, ended by %s', (kind, reason, advice) => {
    expect(adviceOn(failureOf(kind), reason, made(3))).toBe(advice)
  })

  it.each(everyEnd)('fits %s ended by %s: no option that would change nothing', (kind, reason) => {
    const advice = adviceOn(failureOf(kind), reason, made(3))
    const mayRepeat = FAILURE_KINDS[kind].retry !== 'no'
    expect(advice).toMatch(/^[A-Z].*\.$/)
    expect(advice.includes('maxAttempts')).toBe(reason === 'max_attempts' && mayRepeat)
    expect(advice.includes('maxReasks')).toBe(reason === 'max_reasks')
    expect(advice.includes('maxRequests')).toBe(reason === 'max_requests')
    expect(advice.includes('maxWaitMs')).toBe(['hint_exceeds_wait', 'max_wait'].includes(reason))
    if (advice.includes('deadlineMs')) {
      const byTime = reason === 'hint_exceeds_deadline' || (reason === 'deadline' && mayRepeat)
      expect(byTime || kind === 'deadline').toBe(true)
    }
  })

  it('does not ask for more attempts than there may be', () => {
    expect(adviceOn(failureOf('rate_limit'), 'max_attempts', made(10))).toBe(
      'Lower the request rate, or call again later.',
    )
  })

  it('believes a provider that asks not to be asked again', () => {
    const failure = failureOf('rate_limit', { retryable: false })
    expect(adviceOn(failure, 'max_attempts', made(1))).toBe(
      'Lower the request rate, or call again later.',
    )
    expect(adviceOn(failure, 'deadline', made(1))).toBe(
      'Lower the request rate, or call again later.',
    )
  })

  it('tells a request that no client can send from one that the provider refuses', () => {
    const unsent = failureOf('invalid_request', { executed: 'no' })
    expect(adviceOn(unsent, 'not_retryable', made(1))).toMatch(/^It cannot be sent as it is/)
    const refused = failureOf('invalid_request', { executed: 'no', status: 400 })
    const inStream = failureOf('invalid_request')
    for (const failure of [refused, inStream]) {
      expect(adviceOn(failure, 'not_retryable', made(1))).toMatch(/^Correct the request/)
    }
  })
})

describe('why no further attempt was made', () => {
  const so = {
    where: 'host',
    attempts: 1,
    elapsedMs: 10,
    remainingMs: 100,
    maxWaitMs: 60_000,
    deterministic: false,
  }

  it.each<[FailureKind, boolean]>([
    ['rate_limit', true],
    ['malformed_output', true],
    ['empty_response', true],
    ['auth', false],
    ['truncated', false],
  ])('%s: whether it was the deadline', (kind, isSaid) => {
    const said = explain({ ...so, failure: failureOf(kind), reason: 'deadline' })
    expect(said.includes('the deadline leaves no time for another')).toBe(isSaid)
  })

  it.each(REASONS)('ended by %s, says what was wrong with an answer', (reason) => {
    const issues = [{ path: '/age', message: 'expected number, got a string' }]
    const said = explain({ ...so, failure: failureOf('schema_mismatch', { issues }), reason })
    expect(said).toContain('; /age expected number, got a string. ')
  })
})

it('does not advise more attempts where the same wrong answer came again', () => {
  const failure = failureOf('schema_mismatch')
  expect(adviceOn(failure, 'max_attempts', { attempts: 2, deterministic: true })).not.toContain(
    'maxAttempts',
  )
})

function made(attempts: number) {
  return { attempts, deterministic: false }
}
