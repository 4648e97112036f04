import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HEADER_SCHEMES, readAllowance, readCount } from '../../../src/errors/hints.ts'

const NOW = Date.parse('2026-11-28T09:00:00Z')

/** All that the headers say, of every scheme. */
function read(headers: Readonly<Record<string, string>>) {
  return HEADER_SCHEMES.flat()
    .filter(({ onlyEmpty }) => onlyEmpty !== true)
    .flatMap((limit) => {
      const remaining = readCount(headers, limit.remaining)
      return remaining === undefined ? [] : [readAllowance(limit, remaining, headers, NOW)]
    })
}

describe('headers about rate limits', () => {
  it.each([
    [
      'OpenAI (guide "Rate limits")',
      {
        'x-ratelimit-limit-requests': '60',
        'x-ratelimit-limit-tokens': '150000',
        'x-ratelimit-remaining-requests': '59',
        'x-ratelimit-remaining-tokens': '149984',
        'x-ratelimit-reset-requests': '1s',
        'x-ratelimit-reset-tokens': '6m0s',
      },
      [
        { of: 'requests', limit: 60, remaining: 59, resetMs: 1_000, refill: 'continuous' },
        {
          of: 'tokens',
          limit: 150_000,
          remaining: 149_984,
          resetMs: 360_000,
          refill: 'continuous',
        },
      ],
    ],
    [
      'Azure OpenAI, which may name the rest only',
      { 'x-ratelimit-remaining-requests': '9', 'x-ratelimit-reset-requests': '10' },
      [{ of: 'requests', remaining: 9, resetMs: 10_000, refill: 'continuous' }],
    ],
    [
      'Cerebras',
      {
        'x-ratelimit-limit-requests-day': '14400',
        'x-ratelimit-remaining-requests-day': '0',
        'x-ratelimit-reset-requests-day': '33011.5',
        'x-ratelimit-limit-tokens-minute': '60000',
        'x-ratelimit-remaining-tokens-minute': '59000',
        'x-ratelimit-reset-tokens-minute': '26.5',
      },
      [
        {
          of: 'tokens',
          limit: 60_000,
          remaining: 59_000,
          resetMs: 26_500,
          refill: 'continuous',
        },
      ],
    ],
    [
      'Anthropic',
      {
        'anthropic-ratelimit-requests-limit': '50',
        'anthropic-ratelimit-requests-remaining': '49',
        'anthropic-ratelimit-requests-reset': '2026-11-28T09:00:01Z',
        'anthropic-ratelimit-tokens-remaining': '8000',
        'anthropic-ratelimit-input-tokens-limit': '50000',
        'anthropic-ratelimit-input-tokens-remaining': '48000',
        'anthropic-ratelimit-input-tokens-reset': '2026-11-28T10:00:02.5+01:00',
      },
      [
        { of: 'requests', limit: 50, remaining: 49, resetMs: 1_000, refill: 'continuous' },
        { of: 'tokens', limit: 50_000, remaining: 48_000, resetMs: 2_500, refill: 'continuous' },
      ],
    ],
    [
      'OpenRouter',
      {
        'x-ratelimit-limit': '20',
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': String(NOW + 30_000),
      },
      [{ of: 'requests', limit: 20, remaining: 0, resetMs: 30_000, refill: 'window' }],
    ],
    [
      'Together',
      {
        'x-ratelimit-limit': '10',
        'x-ratelimit-remaining': '9',
        'x-ratelimit-reset': '1',
        'x-tokenlimit-limit': '3000',
        'x-tokenlimit-remaining': '2500',
      },
      [
        { of: 'requests', limit: 10, remaining: 9, resetMs: 1_000, refill: 'window' },
        { of: 'tokens', limit: 3_000, remaining: 2_500, resetMs: 1_000, refill: 'window' },
      ],
    ],
    [
      'Mistral',
      {
        'x-ratelimit-limit-tokens-minute': '500000',
        'x-ratelimit-remaining-tokens-minute': '467993',
      },
      [{ of: 'tokens', limit: 500_000, remaining: 467_993, refill: 'continuous' }],
    ],
    [
      'Mistral, before',
      {
        'x-ratelimitbysize-limit-minute': '500000',
        'x-ratelimitbysize-remaining-minute': '467993',
        'ratelimitbysize-reset': '40',
      },
      [{ of: 'tokens', limit: 500_000, remaining: 467_993, resetMs: 40_000, refill: 'window' }],
    ],
    [
      'the IETF draft 07',
      { 'ratelimit-limit': '100, 100;w=60', 'ratelimit-remaining': '50', 'ratelimit-reset': '30' },
      [{ of: 'requests', limit: 100, remaining: 50, resetMs: 30_000, refill: 'window' }],
    ],
  ])('are read as %s sends them', (_, headers, expected) => {
    expect(read(headers)).toEqual(expected)
  })

  it.each(['', '-1', '1e3', 'NaN', 'Infinity', '0x10', '１２', ' ', 'many', '9'.repeat(400)])(
    'count as absent where what is left is %j',
    (remaining) => {
      expect(read({ 'x-ratelimit-remaining-requests': remaining })).toEqual([])
    },
  )

  it.each(['', '-5', 'soon', '1h-2m', 'PT5S', '2026-02-31T00:00:00Z', '3, 5'])(
    'say nothing of the reset where it is %j',
    (reset) => {
      const headers = { 'ratelimit-remaining': '0', 'ratelimit-reset': reset }
      expect(read(headers)).toEqual([{ of: 'requests', remaining: 0, refill: 'window' }])
    },
  )

  it('are finite and not negative, whatever was sent', () => {
    const names = HEADER_SCHEMES.flat().flatMap(({ limit, remaining, reset }) => [
      limit,
      remaining,
      reset,
    ])
    const text = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[-+ .,;:\dTZdhmse]{0,20}$/),
      fc.double().map(String),
      fc.nat().map(String),
    )
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), text), (headers) => {
        for (const { limit = 0, remaining, resetMs = 0 } of read(headers)) {
          for (const value of [limit, remaining, resetMs]) {
            expect(Number.isFinite(value) && value >= 0).toBe(true)
          }
        }
      }),
    )
  })

  it('are not there in anything that is no headers', () => {
    const evil = new Proxy(
      {},
      {
        get: () => {
          throw new Error('no')
        },
      },
    )
    for (const headers of [
      undefined,
      null,
      5,
      'x',
      [],
      evil,
      new Map([['ratelimit-remaining', 3]]),
    ]) {
      expect(readCount(headers, 'ratelimit-remaining')).toBeUndefined()
    }
  })
})
