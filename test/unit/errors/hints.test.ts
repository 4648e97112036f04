import { describe, expect, it } from 'vitest'
import { readEnvelope } from '../../../src/errors/envelope.ts'
import { readRetryAfter } from '../../../src/errors/hints.ts'

const now = Date.UTC(2026, 0, 1)
const read = (headers: Record<string, string>, status?: number) =>
  readRetryAfter({ headers, status, now })
const sent = (body: unknown) => readEnvelope(body).parts
const said = (message: string) => readRetryAfter({ message, now })

describe('retry-after headers', () => {
  it.each([
    [{ 'retry-after-ms': '634' }, 634],
    // LiteLLM 1.108 hands on the provider's header of an error under this name only.
    [{ 'llm_provider-retry-after': '7' }, 7000],
    [{ 'llm_provider-retry-after-ms': '250', 'llm_provider-retry-after': '7' }, 250],
    [{ 'retry-after': '9', 'llm_provider-retry-after': '7' }, 9000],
    [{ 'retry-after-ms': '0' }, 0],
    [{ 'retry-after-ms': '1.5' }, 1.5],
    [{ 'retry-after-ms': '100', 'retry-after': '9' }, 100],
    [{ 'retry-after-ms': 'soon', 'retry-after': '9' }, 9000],
    [{ 'retry-after': '20' }, 20_000],
    [{ 'Retry-After': '1.5' }, 1500],
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': '86400' }, 86_400_000],
    [{ 'retry-after': '99999999999999999999' }, Number.MAX_SAFE_INTEGER],
    [{ 'retry-after': '9'.repeat(400) }, Number.MAX_SAFE_INTEGER],
  ])('reads %j as %d ms', (headers, expected) => {
    expect(read(headers)).toBe(expected)
    expect(readRetryAfter({ headers: new Headers(headers), now })).toBe(expected)
  })

  it.each([
    'Infinity',
    '-1',
    '10abc',
    'abc',
    '0x10',
    '1e3',
    '5 ',
    ' 5',
    'soon, later',
    'Thu, 01',
    ',',
    '.5',
    '5.',
    '+5',
    'NaN',
    '',
    '٣',
    '1_000',
    '2026-01-01T00:00:10Z',
    'Thu, 32 Jan 2026 00:00:10 GMT',
    'Tue, 31 Feb 2026 00:00:10 GMT',
    'Thu, 01 Jan 2026 24:00:10 GMT',
    'Thu, 01 Jan 2026 00:00:10 UTC',
    'thu, 01 jan 2026 00:00:10 gmt',
    '9'.repeat(2000),
  ])('takes %j as absent', (value) => {
    expect(read({ 'retry-after': value, 'retry-after-ms': value })).toBeUndefined()
  })

  it.each([
    ['3, 3', 3000],
    ['3,5', 5000],
    ['5,10', 10_000],
    ['7 ,\t5', 5000],
    ['soon, 4', 4000],
    ['2, Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
    ['Thu, 01 Jan 2026 00:00:10 GMT, 20', 20_000],
    ['Thu, 01 Jan 2026 00:00:10 GMT, Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Thursday, 01-Jan-26 00:00:10 GMT, Thu Jan  1 00:00:40 2026, 1', 40_000],
  ])('reads the longest of the values %j', (value, expected) => {
    expect(read({ 'retry-after': value })).toBe(expected)
  })

  it('reads the longest of two lines, as fetch joins them and as a list', () => {
    const joined = new Headers([
      ['retry-after', '3'],
      ['Retry-After', '12'],
    ])
    expect(readRetryAfter({ headers: joined, now })).toBe(12_000)
    const listed: unknown = { 'retry-after': ['3', '12'] }
    expect(readRetryAfter({ headers: Object(listed), now })).toBe(12_000)
  })

  it('reads the longest of two lines of milliseconds, and of two resets of empty buckets', () => {
    expect(read({ 'retry-after-ms': '100, 250', 'retry-after': '9' })).toBe(250)
    const twice = {
      'x-ratelimit-remaining-requests': '0, 0',
      'x-ratelimit-reset-requests': '1s, 6m0s',
    }
    expect(read(twice, 429)).toBe(360_000)
  })

  it.each([
    ['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
    ['Thursday, 01-Jan-26 00:00:10 GMT', 10_000],
    ['Thu Jan  1 00:00:10 2026', 10_000],
    ['Wed, 31 Dec 2025 23:59:50 GMT', 0],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 0],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
  ])('reads the date %s', (value, expected) => {
    expect(read({ 'retry-after': value })).toBe(expected)
  })

  it("measures a date against the server's own clock", () => {
    const date = 'Thu, 01 Jan 2026 01:00:00 GMT'
    expect(read({ 'retry-after': 'Thu, 01 Jan 2026 01:00:30 GMT', date })).toBe(30_000)
    expect(read({ 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT', date: 'today' })).toBe(30_000)
  })
})

describe('rate limit headers', () => {
  const bucket = (remaining: string, reset: string) => ({
    'x-ratelimit-remaining-requests': remaining,
    'x-ratelimit-reset-requests': reset,
  })

  it.each([
    ['1s', 1000],
    ['6m0s', 360_000],
    ['20ms', 20],
    ['1h2m3.5s', 3_723_500],
    ['2m59.56s', 179_560],
    ['1d', 86_400_000],
    ['0s', 0],
    ['24h0m0s', 86_400_000],
    [`${'9'.repeat(400)}h`, Number.MAX_SAFE_INTEGER],
    ['55', 55_000],
    ['1.5', 1500],
    ['999999999', 999_999_999_000],
  ])('reads a reset of %s', (reset, expected) => {
    expect(read(bucket('0', reset), 429)).toBe(expected)
  })

  it.each(['', 's', '1e3', '.5', '-1', '-1s', '1s2m', '1 s', '1s ', 'Infinitys', '1x', '1ms1s'])(
    'takes a reset of %j as absent',
    (reset) => {
      expect(read(bucket('0', reset), 429)).toBeUndefined()
    },
  )

  it('counts only under 429, and only for an empty bucket', () => {
    expect(read(bucket('0', '1s'), 503)).toBeUndefined()
    expect(read(bucket('0', '1s'))).toBeUndefined()
    expect(read(bucket('1', '1s'), 429)).toBeUndefined()
    expect(read({ 'x-ratelimit-reset-requests': '1s' }, 429)).toBeUndefined()
  })

  it('waits for the later of two empty buckets, and not for one with something left', () => {
    const tokens = (remaining: string) => ({
      'x-ratelimit-remaining-tokens': remaining,
      'x-ratelimit-reset-tokens': '6m0s',
    })
    expect(read({ ...bucket('0', '1s'), ...tokens('0') }, 429)).toBe(360_000)
    expect(read({ ...bucket('0', '1s'), ...tokens('5') }, 429)).toBe(1000)
  })

  it('yields to retry-after', () => {
    expect(read({ ...bucket('0', '1s'), 'retry-after': '3' }, 429)).toBe(3000)
  })
})

describe('the reset of an empty bucket, by provider', () => {
  // 2026-01-01T00:00:00Z is 1767225600
  it.each<[string, Record<string, string>, number | undefined]>([
    [
      'Azure: whole seconds',
      { 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '55' },
      55_000,
    ],
    [
      'Azure, which shows -1 and 0 for a limit it does not have',
      { 'x-ratelimit-remaining-tokens': '-1', 'x-ratelimit-reset-tokens': '0' },
      undefined,
    ],
    [
      'Groq: durations',
      { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '2m59.56s' },
      179_560,
    ],
    [
      'Cerebras: seconds with a fraction',
      { 'x-ratelimit-remaining-tokens-minute': '0', 'x-ratelimit-reset-tokens-minute': '10.5' },
      10_500,
    ],
    ['Together: seconds', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '3' }, 3000],
    [
      'GitHub: epoch seconds',
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1767225630' },
      30_000,
    ],
    [
      'OpenRouter: epoch milliseconds',
      { 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': '1767225601500' },
      1500,
    ],
    ['the IETF draft: seconds', { 'ratelimit-remaining': '0', 'ratelimit-reset': '25' }, 25_000],
    [
      'Anthropic: a moment',
      {
        'anthropic-ratelimit-input-tokens-remaining': '0',
        'anthropic-ratelimit-input-tokens-reset': '2026-01-01T00:00:12Z',
      },
      12_000,
    ],
    [
      'Anthropic: a bucket with something left',
      {
        'anthropic-ratelimit-requests-remaining': '49',
        'anthropic-ratelimit-requests-reset': '2026-01-01T00:00:12Z',
      },
      undefined,
    ],
    [
      'Anthropic: a moment that has passed',
      {
        'anthropic-ratelimit-tokens-remaining': '0',
        'anthropic-ratelimit-tokens-reset': '2025-12-31T23:59:59Z',
      },
      0,
    ],
    [
      'a moment in another zone, with a fraction',
      {
        'anthropic-ratelimit-tokens-remaining': '0',
        'anthropic-ratelimit-tokens-reset': '2026-01-01T01:30:00.25+01:30',
      },
      250,
    ],
  ])('is read from %s', (_, headers, expected) => {
    expect(read(headers, 429)).toBe(expected)
  })

  it("is measured against the server's own clock", () => {
    const date = 'Thu, 01 Jan 2026 01:00:00 GMT'
    const github = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1767229205' }
    expect(read({ ...github, date }, 429)).toBe(5000)
    const anthropic = {
      'anthropic-ratelimit-tokens-remaining': '0',
      'anthropic-ratelimit-tokens-reset': '2026-01-01T01:00:07Z',
    }
    expect(read({ ...anthropic, date }, 429)).toBe(7000)
  })

  it.each([
    '2026-02-31T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01 00:00:05Z',
    '2026-01-01T00:00:05',
    '2026-01-01',
    'tomorrow',
  ])('is absent where the moment is none: %s', (reset) => {
    const headers = {
      'anthropic-ratelimit-tokens-remaining': '0',
      'anthropic-ratelimit-tokens-reset': reset,
    }
    expect(read(headers, 429)).toBeUndefined()
  })

  it('is also read where a router quotes its own headers in the body', () => {
    const body = {
      error: {
        message: 'Rate limit exceeded: free-models-per-min.',
        metadata: {
          headers: { 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': '1767225620000' },
        },
      },
    }
    expect(readRetryAfter({ parts: sent(body), status: 429, now })).toBe(20_000)
    expect(readRetryAfter({ parts: sent(body), status: 503, now })).toBeUndefined()
  })
})

describe('hints in the body', () => {
  it.each([
    [{ retry_after: 120 }, 120_000],
    [{ error: { retry_after: '2.5' } }, 2500],
    [{ error: { message: 'loading', estimated_time: 20 } }, 20_000],
    [{ error: { retry_after_ms: 7 } }, 7],
    [{ error: { details: [{ reason: 'x' }, { retryDelay: '38s' }] } }, 38_000],
    [[{ error: { details: [{ retryDelay: '38.5s' }] } }], 38_500],
    [{ error: { message: '[{"error":{"details":[{"retryDelay":"38s"}]}}]' } }, 38_000],
    [{ error: { message: 'x', metadata: { raw: '{"error":{"retry_after":4}}' } } }, 4000],
    [{ error: { availability: { code: 'x', retryable: true, retry_after: 9 } } }, 9000],
    [{ error: { metadata: { retry_after_seconds: 3 } } }, 3000],
    [{ error: { message: 'litellm.X: VertexAIException - {"retry_after": 2} x' } }, 2000],
  ])('reads %j', (body, expected) => {
    expect(readRetryAfter({ parts: sent(body), now })).toBe(expected)
  })

  it.each([
    { retry_after: -1 },
    { retry_after: Number.NaN },
    { retry_after: Infinity },
    { retry_after: null },
    { retry_after: true },
    { retry_after: '10abc' },
    { error: { details: [{ retryDelay: 'soon' }] } },
  ])('takes %j as absent', (body) => {
    expect(readRetryAfter({ parts: sent(body), now })).toBeUndefined()
  })

  it('yields to a header and comes before the text', () => {
    const parts = sent({ retry_after: 2 })
    const message = 'Please try again in 3s.'
    expect(readRetryAfter({ headers: { 'retry-after': '1' }, parts, message, now })).toBe(1000)
    expect(readRetryAfter({ parts, message, now })).toBe(2000)
  })
})

describe('several hints', () => {
  const retryInfo = { details: [{ retryDelay: '4s' }] }
  const message = 'Please try again in 6s.'
  const empty = { 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '3s' }
  const parts = sent({ error: { ...retryInfo, retry_after: 5 } })

  it.each<[number, Record<string, string>, readonly object[]]>([
    [1, { 'retry-after-ms': '1', 'retry-after': '2', ...empty }, parts],
    [2000, { 'retry-after': '2', ...empty }, parts],
    [3000, empty, parts],
    [4000, {}, parts],
    [5000, {}, sent({ error: { retry_after: 5 } })],
    [6000, {}, []],
  ])('are taken in their order: %d ms', (expected, headers, body) => {
    const evidence = { headers, parts: body, message, status: 429, now }
    expect(readRetryAfter(evidence)).toBe(expected)
  })
})

describe('hints in the text', () => {
  it.each([
    ['Please try again in 9.816s. Visit https://x', 9816],
    ['Please try again in 634ms.', 634],
    ['Please try again in 6m0s.', 360_000],
    ['Please try again in 1h2m3.5s', 3_723_500],
    ['Please retry after 38 seconds. Please go here', 38_000],
    ['Please retry after 1 second', 1000],
    ['Rate limit is exceeded. Try again in 30 seconds.', 30_000],
    ['please RETRY in 2 Minutes', 120_000],
    ['try again in 1 minute and 5 seconds', 65_000],
    ['Please wait 46 seconds before retrying.', 46_000],
    ['wait for 10s', 10_000],
    ['please try again after 1 seconds', 1000],
    ['Your quota resets in 3m.', 180_000],
    ['Retry your request after 5 seconds', 5000],
    ['try again in 5 tries, or try again in 7s', 7000],
    ['try again in 2 days, 3 hours', 183_600_000],
    ['retry after 999999999999999 days', Number.MAX_SAFE_INTEGER],
  ])('reads %j', (message, expected) => {
    expect(said(message)).toBe(expected)
  })

  it.each([
    'Please try again later.',
    'Please try again in a few seconds.',
    'Please try again in -5 seconds',
    'Please try again in 5',
    'Please try again in 5 parsecs',
    'You asked for 5 seconds',
    'retry attempt 5 s',
    'the entry after 5 seconds',
    `${'x'.repeat(5000)} try again in 5s`,
  ])('finds none in %j', (message) => {
    expect(said(message)).toBeUndefined()
  })
})

it('finds none where nothing was said', () => {
  expect(readRetryAfter({ now })).toBeUndefined()
})
