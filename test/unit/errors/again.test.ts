import { describe, expect, it } from 'vitest'
import { FAILURE_KINDS } from '../../../src/errors/failure-kinds.ts'
import { type Again, CallError, type FailureKind } from '../../../src/index.ts'

const ONLY_BY_KIND: Readonly<Partial<Record<FailureKind, Again>>> = {
  rate_limit: 'later',
  overloaded: 'later',
  server_error: 'later',
  timeout: 'later',
  network: 'later',
  dns: 'later',
  conflict: 'later',
  empty_response: 'later',
  circuit_open: 'later',
  budget_exhausted: 'later',
  in_progress: 'later',
  store_unavailable: 'later',
  quota_exhausted: 'later',
  outcome_unknown: 'unknown',
  unknown: 'unknown',
  billing: 'never',
  tls: 'never',
  auth: 'never',
  permission: 'never',
  region_blocked: 'never',
  not_found: 'never',
  invalid_request: 'never',
  request_too_large: 'never',
  context_length: 'never',
  content_filter: 'never',
  refusal: 'never',
  truncated: 'never',
  idempotency_mismatch: 'never',
  multiplied_retries: 'never',
}

const VARIANTS = (['no', 'maybe', 'yes'] as const).flatMap((executed) =>
  ([undefined, 'rerun', 'fail'] as const).flatMap((onUncertain) =>
    [false, true].map((deterministic) => ({ executed, onUncertain, deterministic })),
  ),
)

const againOf = (kind: FailureKind, variant: (typeof VARIANTS)[number]) =>
  new CallError({ kind, message: kind, ...variant }).again

const kinds = Object.keys(FAILURE_KINDS) as FailureKind[]

describe('whether a new call is worth making', () => {
  it('is said for every kind', () => {
    const others = ['aborted', 'deadline', 'malformed_output', 'schema_mismatch']
    expect([...Object.keys(ONLY_BY_KIND), ...others].sort()).toEqual(kinds.sort())
  })

  it.each(Object.entries(ONLY_BY_KIND))(
    'after %s it is %s, whatever else is known',
    (kind, again) => {
      const seen = new Set(VARIANTS.map((variant) => againOf(kind as FailureKind, variant)))
      expect([...seen]).toEqual([again])
    },
  )

  it.each(['malformed_output', 'schema_mismatch'] as const)(
    "after %s it is 'later', and 'never' where the same wrong answer came twice",
    (kind) => {
      for (const variant of VARIANTS) {
        expect(againOf(kind, variant)).toBe(variant.deterministic ? 'never' : 'later')
      }
    },
  )

  it.each(['aborted', 'deadline'] as const)(
    "after %s it is 'unknown' only where it may have run and must not run twice",
    (kind) => {
      for (const variant of VARIANTS) {
        const { executed, onUncertain } = variant
        const expected = onUncertain === 'fail' && executed !== 'no' ? 'unknown' : 'later'
        expect(againOf(kind, variant)).toBe(expected)
      }
    },
  )

  it('is in the JSON of an error, for whoever reads it in another process', () => {
    const error = new CallError({ kind: 'rate_limit', message: 'limited', retryAfterMs: 5 })
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({ again: 'later', retryAfterMs: 5 })
  })
})
