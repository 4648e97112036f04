import { describe, expect, it } from 'vitest'
import type { SteadyOutcome } from '../../../src/cli/clients.ts'
import { endingOf, explainBare, explainCall } from '../../../src/cli/explain.ts'
import { attempt, report } from './reports.ts'

const overloaded = attempt({ outcome: 'overloaded' })
const call = (given: Partial<SteadyOutcome>): SteadyOutcome => ({
  report: report([attempt()]),
  repairs: [],
  valid: true,
  ...given,
})
const failure = (given: Parameters<typeof report>[1], last = overloaded): SteadyOutcome =>
  call({ report: report([last], given), valid: false })

describe('explainCall', () => {
  it.each<[string, SteadyOutcome, string, string]>([
    ['a good answer', call({}), 'valid', 'valid at once'],
    [
      'a retry after backoff',
      call({ report: report([overloaded, attempt({ cause: 'retry', delayMs: 212 })]) }),
      'recovered',
      'overloaded · backed off 212 ms · recovered',
    ],
    [
      'two different failures',
      call({
        report: report([
          attempt({ outcome: 'server_error' }),
          attempt({ cause: 'retry', outcome: 'overloaded', delayMs: 80 }),
          attempt({ cause: 'retry', delayMs: 1_240 }),
        ]),
      }),
      'recovered',
      'server_error, overloaded · backed off 80 ms + 1.2 s · recovered',
    ],
    [
      'a hint obeyed',
      call({
        report: report([
          attempt({ outcome: 'rate_limit', retryAfterMs: 300 }),
          attempt({ cause: 'retry', delayMs: 351, delaySource: 'hint' }),
        ]),
      }),
      'recovered',
      'rate_limit · waited 351 ms, asked for 300 ms · recovered',
    ],
    [
      'a repair',
      call({
        repairs: [
          { path: '', rule: 'strip-fence' },
          { path: '/priority', rule: 'number-from-string' },
          { path: '/size', rule: 'number-from-string' },
        ],
      }),
      'repaired',
      'strip-fence, number-from-string · no second request · repaired',
    ],
    [
      'a re-ask',
      call({
        report: report([attempt({ outcome: 'schema_mismatch' }), attempt({ cause: 'reask' })]),
      }),
      're-asked',
      'schema_mismatch · sent back with its errors · re-asked',
    ],
    [
      'an extension',
      call({ report: report([attempt({ outcome: 'truncated' }), attempt({ cause: 'reask' })]) }),
      're-asked',
      'truncated · output limit doubled · re-asked',
    ],
    [
      'a fallback',
      call({
        report: report([
          attempt({ outcome: 'context_length' }),
          attempt({ cause: 'fallback', target: 'api.example.com large model' }),
        ]),
      }),
      'fell back',
      'context_length · fell back to large model · recovered',
    ],
    [
      'a joined call',
      call({ report: report([], { source: 'shared' }) }),
      'shared',
      'joined the call in flight · no request · shared',
    ],
    [
      'a replay',
      call({ report: report([], { source: 'store' }) }),
      'replayed',
      'its outcome was kept · no request · replayed from store',
    ],
    [
      'a hopeless failure',
      failure({ outcome: 'quota_exhausted', reason: 'not_retryable' }),
      'unrecoverable',
      'unrecoverable: quota_exhausted — retrying cannot help',
    ],
    [
      'a hint beyond what is allowed',
      failure(
        { outcome: 'rate_limit', reason: 'hint_exceeds_wait' },
        attempt({ outcome: 'rate_limit', retryAfterMs: 120_000 }),
      ),
      'unrecoverable',
      'unrecoverable: rate_limit — asks for 120 s, over maxWaitMs',
    ],
    [
      'an exhausted call',
      failure({ reason: 'max_attempts' }),
      'gave up',
      'gave up: overloaded — no attempts left',
    ],
    [
      'a drop-in answer that is not valid',
      call({ valid: false }),
      'gave up',
      'gave up: success — the answer was not valid',
    ],
  ])('tells %s in one line', (_case, outcome, ending, expected) => {
    expect(endingOf(outcome)).toBe(ending)
    expect(explainCall(outcome)).toBe(expected)
  })
})

describe('explainBare', () => {
  const once = { requests: 1, durationMs: 10, paidBefore: false }
  const thrice = { requests: 3, durationMs: 1_400, paidBefore: false }

  it.each<[string, Parameters<typeof explainBare>[0]]>([
    ['valid', once],
    ['valid after 3 requests', thrice],
    ['valid, and paid for again', { ...once, paidBefore: true }],
    ['throws 401 invalid_api_key', { ...once, problem: http(401, 'invalid_api_key') }],
    ['throws 404', { ...once, problem: http(404) }],
    ['3 requests in 1.4 s', { ...thrice, problem: http(503) }],
    [
      '3 requests in 1.4 s, on a spent quota',
      { ...thrice, problem: http(429), blame: 'on a spent quota' },
    ],
    ['connection lost 3 times', { ...thrice, problem: { kind: 'connection', typed: true } }],
    ['connection lost, not retried', { ...once, problem: { kind: 'connection', typed: true } }],
    [
      'body lost: a raw TypeError, not retried',
      { ...once, problem: { kind: 'connection', typed: false } },
    ],
    ['200 with an error body taken for a success', { ...once, problem: { kind: 'error-body' } }],
    ['200 without a choice, not noticed', { ...once, problem: { kind: 'no-choices' } }],
    ['content is null; the refusal goes unread', { ...once, problem: { kind: 'refusal' } }],
    ['the stream just ends: no text, no error', { ...once, problem: { kind: 'silent-end' } }],
    [
      'still waiting after 2 s, of 10 minutes',
      { ...once, problem: { kind: 'hung', afterMs: 2_000 } },
    ],
    ['half of the JSON: SyntaxError', { ...once, problem: { kind: 'not-json', cut: true } }],
    ['JSON.parse throws a SyntaxError', { ...once, problem: { kind: 'not-json', cut: false } }],
    ['JSON of the wrong shape reaches the caller', { ...once, problem: { kind: 'wrong-shape' } }],
  ])('says "%s"', (expected, given) => {
    expect(explainBare(given)).toBe(expected)
  })
})

function http(status: number, code?: string) {
  return { kind: 'http' as const, status, ...(code !== undefined && { code }) }
}
