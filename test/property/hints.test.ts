import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { classify, classifyError, classifyErrorBody } from '../../src/errors/classify.ts'
import { FAILURE_KINDS } from '../../src/errors/failure-kinds.ts'
import { readRetryAfter } from '../../src/errors/hints.ts'

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
  ),
  fc.oneof(text, fc.constant('0')),
)

const isHint = (value: number | undefined) =>
  value === undefined || (Number.isFinite(value) && value >= 0)

describe('hints', () => {
  it('are finite and never negative, whatever was sent', () => {
    fc.assert(
      fc.property(headers, anything, text, fc.double(), (sent, body, message, now) => {
        expect(readRetryAfter({ headers: sent, status: 429, body, message, now })).toSatisfy(isHint)
      }),
    )
  })

  it('are read from retry-after exactly when it is a plain decimal', () => {
    fc.assert(
      fc.property(text, (value) => {
        // kept finite and exact: 2^53 - 1 at most
        const expected = /^\d+(\.\d+)?$/.test(value)
          ? Math.min(Number(value) * 1000, 9007199254740991)
          : undefined
        expect(readRetryAfter({ headers: { 'retry-after': value }, now: 0 })).toBe(expected)
      }),
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
      { numRuns: 500 },
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
