import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { classify, classifyError, classifyErrorBody } from '../../src/errors/classify.ts'
import { readEnvelope } from '../../src/errors/envelope.ts'
import { FAILURE_KINDS } from '../../src/errors/failure-kinds.ts'
import { readRetryAfter } from '../../src/errors/hints.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'

const anything = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withNullPrototype: true,
  withObjectString: true,
  withSet: true,
  withSparseArray: true,
  withTypedArray: true,
})

const fields = [
  'status',
  'statusCode',
  'code',
  'name',
  'message',
  'error',
  'errors',
  'cause',
  'headers',
  'response',
  'choices',
  'detail',
]

/** Looks like an error where it matters, with anything at all inside. */
const errorLike = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    anything,
    fc.integer({ min: 100, max: 700 }),
    fc.string(),
    fc.array(tie('node'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...fields), tie('node')),
  ),
})).node

const text = fc.oneof(
  fc.string(),
  fc.stringMatching(/^[-+ .\dxeEsmhd]{0,12}$/),
  fc.stringMatching(/^(try again|retry) (in|after) [\d.]{1,6} ?(ms|s|m|h|seconds)$/),
  fc.double().map(String),
)

const headers = fc.dictionary(
  fc.constantFrom(
    'retry-after',
    'retry-after-ms',
    'date',
    'x-should-retry',
    'x-ratelimit-remaining-requests',
    'x-ratelimit-reset-requests',
    'x-ratelimit-remaining',
    'x-ratelimit-reset',
    'anthropic-ratelimit-tokens-remaining',
    'anthropic-ratelimit-tokens-reset',
  ),
  fc.oneof(text, fc.constant('0')),
)

const isHint = (value: number | undefined) =>
  value === undefined || (Number.isFinite(value) && value >= 0)

describe('hints', () => {
  it('are finite and never negative, whatever was sent', () => {
    fc.assert(
      fc.property(headers, anything, text, fc.double(), (sent, body, message, now) => {
        const { parts } = readEnvelope(body)
        expect(readRetryAfter({ headers: sent, status: 429, parts, message, now })).toSatisfy(
          isHint,
        )
      }),
    )
  })

  it('are read from retry-after exactly when it has a plain decimal', () => {
    fc.assert(
      fc.property(text, (value) => {
        // Several are a list, of which the longest counts.
        const waits = value.split(/,[ \t]*/).filter((one) => /^\d+(\.\d+)?$/.test(one))
        // kept finite and exact: 2^53 - 1 at most
        const longest = Math.min(Math.max(...waits.map(Number)) * 1000, 9007199254740991)
        const expected = waits.length === 0 ? undefined : longest
        expect(readRetryAfter({ headers: { 'retry-after': value }, now: 0 })).toBe(expected)
      }),
    )
  })

  it('of an empty bucket are the same, as seconds, as a moment and as a number of it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 100_000 }),
        fc.date({
          min: new Date('2002-01-01T00:00:00Z'),
          max: new Date('2100-01-01T00:00:00Z'),
          noInvalidDate: true,
        }),
        (seconds, date) => {
          const now = Math.floor(date.getTime() / 1000) * 1000
          const until = now + seconds * 1000
          const resets = [
            ['x-ratelimit-remaining-tokens', 'x-ratelimit-reset-tokens', `${seconds}`],
            ['x-ratelimit-remaining', 'x-ratelimit-reset', `${until / 1000}`],
            ['x-ratelimit-remaining', 'x-ratelimit-reset', `${until}`],
            [
              'anthropic-ratelimit-tokens-remaining',
              'anthropic-ratelimit-tokens-reset',
              new Date(until).toISOString(),
            ],
          ] as const
          for (const [remaining, reset, value] of resets) {
            const sent = { [remaining]: '0', [reset]: value }
            expect(readRetryAfter({ headers: sent, status: 429, now })).toBe(seconds * 1000)
            expect(
              readRetryAfter({ headers: { ...sent, [remaining]: '1' }, status: 429, now }),
            ).toBe(undefined)
            // a clock of ours that is wrong by years changes nothing
            const skewed = { ...sent, date: new Date(now).toUTCString() }
            expect(readRetryAfter({ headers: skewed, status: 429, now: 0 })).toBe(seconds * 1000)
          }
        },
      ),
    )
  })

  it('are read from a reset exactly when it is a decimal, a duration or a moment', () => {
    const reset = fc.oneof(text, fc.stringMatching(/^[\dTZ:.+-]{0,25}$/))
    const grammar =
      /^(\d+(\.\d+)?|(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+(\.\d+)?s)?(\d+(\.\d+)?ms)?|\d{4}-\d\d-\d\dT.*)$/
    fc.assert(
      fc.property(reset, (value) => {
        const sent = { 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': value }
        const found = readRetryAfter({ headers: sent, status: 429, now: 0 })
        // Several values, as RFC 9110 (5.6.1) has lists: what is empty between the commas is none.
        const values = value.split(/,[ \t]*/).filter((one) => one !== '')
        if (found !== undefined) expect(values.some((one) => grammar.test(one))).toBe(true)
        if (/^\d{1,9}(\.\d+)?$/.test(value)) expect(found).toBe(Number(value) * 1000)
      }),
      { numRuns: fuzzRuns(500) },
    )
  })

  it('agree between a header, a duration and a sentence', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000 }), (seconds) => {
        const spellings = [
          { headers: { 'retry-after': `${seconds}` } },
          { headers: { 'retry-after-ms': `${seconds}000` } },
          {
            headers: {
              'x-ratelimit-remaining-tokens': '0',
              'x-ratelimit-reset-tokens': `${Math.floor(seconds / 60)}m${seconds % 60}s`,
            },
          },
          { message: `Please try again in ${seconds}s.` },
          { message: `Please retry after ${seconds} seconds.` },
        ]
        for (const spelling of spellings) {
          expect(readRetryAfter({ ...spelling, status: 429, now: 0 })).toBe(seconds * 1000)
        }
      }),
    )
  })
})

describe('classification', () => {
  it('never throws, and always yields a whole verdict', () => {
    fc.assert(
      fc.property(errorLike, headers, text, (error, sent, body) => {
        const verdicts = [
          classifyError(error),
          classify(error, { headers: sent, body, status: 500, now: 0 }),
          classifyErrorBody(error, { headers: sent }),
        ]
        for (const verdict of verdicts) {
          if (verdict === undefined) continue
          expect(Object.hasOwn(FAILURE_KINDS, verdict.kind)).toBe(true)
          expect(typeof verdict.retryable).toBe('boolean')
          expect(['no', 'maybe', 'yes']).toContain(verdict.executed)
          expect(verdict.retryAfterMs).toSatisfy(isHint)
        }
      }),
      { numRuns: fuzzRuns(500) },
    )
  })

  it('never retries what the provider forbids', () => {
    fc.assert(
      fc.property(fc.integer({ min: 300, max: 599 }), text, (status, body) => {
        const forbidden = { 'x-should-retry': 'false' }
        expect(classify({ status }, { headers: forbidden, body }).retryable).toBe(false)
      }),
    )
  })
})
