import { describe, expect, it } from 'vitest'
import { classify, classifyError } from '../../../src/errors/classify.ts'
import { readEnvelope } from '../../../src/errors/envelope.ts'
import { splitAtJson } from '../../../src/errors/hostile.ts'

const quota = { error: { message: 'm', code: 'insufficient_quota' } }
const text = JSON.stringify(quota)

describe('an envelope', () => {
  it.each<[string, unknown]>([
    ['an object with an error', quota],
    ['a bare object', quota.error],
    ['an array around it', [quota]],
    ['a list of errors', { errors: [quota.error] }],
    ['a detail that is an object', { detail: quota }],
    ['a detail that is a list', { detail: [quota.error] }],
    ['a text', text],
    ['an error that is a text of JSON', { error: text }],
    ['a message that is JSON', { error: { message: text } }],
    [
      'a message that is JSON with JSON in it',
      { error: { message: `{"error":{"message":${JSON.stringify(text)}}}` } },
    ],
    [
      'JSON behind a prefix',
      { error: { message: `litellm.RateLimitError: OpenAIException - ${text}` } },
    ],
    [
      'JSON between words',
      { error: { message: `429 ${text}. Received Model Group=x\nFallbacks=None` } },
    ],
    ['JSON in a bytes literal', { error: { message: `VertexAIException - b'${text}'` } }],
    [
      'JSON in what a router quotes',
      { error: { message: 'Provider returned error', metadata: { raw: text } } },
    ],
    ['an object that a router quotes', { error: { message: 'x', metadata: { raw: quota } } }],
    [
      'a repr of Python',
      {
        error: {
          message: `Error code: 429 - {'error': {'message': "m", 'code': 'insufficient_quota'}}`,
        },
      },
    ],
    [
      'a repr in a text',
      `Error code: 429 - {'error': {'type': 'insufficient_quota', 'code': None}}`,
    ],
    [
      'JSON that was cut',
      { error: { message: `upstream: {"error":{"code":"insufficient_quota","message":"You exc` } },
    ],
    [
      'JSON escaped once too often',
      { error: { message: `upstream: {\\"code\\": \\"insufficient_quota\\", \\"m` } },
    ],
    [
      'the innermost of three quotes',
      {
        message: `a: ${JSON.stringify({ error: { message: `b: ${JSON.stringify({ error: `c: ${text}` })}` } })}`,
      },
    ],
  ])('is read whatever its form: %s', (_, body) => {
    const sent = typeof body === 'string' ? body : JSON.stringify(body)
    expect(readEnvelope(body).codes).toContain('insufficient_quota')
    expect(classify({ status: 500 }, { body: sent })).toMatchObject({
      kind: 'quota_exhausted',
      retryable: false,
    })
  })

  it('keeps the words around embedded JSON', () => {
    expect(readEnvelope(`before {"message":"inside"} after`).message).toBe(
      'before \n after\ninside',
    )
  })

  it('reads the status of a Python repr', () => {
    expect(readEnvelope(`{'error': {'code': 429, 'message': 'slow down'}}`).status).toBe(429)
  })

  it.each([
    'no JSON at all',
    'a {placeholder} and [a list]',
    'a brace that { never closes',
    '{"error": broken}',
    'a list [1, 2] of numbers',
  ])('takes %j for plain text', (plain) => {
    expect(splitAtJson(plain)).toBeUndefined()
    expect(readEnvelope(plain).message).toBe(plain)
  })

  it('finds the end of embedded JSON behind brackets and quotes in its strings', () => {
    const value = { a: '}"]{\\', b: [{ c: '\\"' }] }
    expect(splitAtJson(`x ${JSON.stringify(value)} y`)).toEqual({
      before: 'x ',
      value,
      after: ' y',
    })
  })

  it('never reads the request that is echoed beside the error', () => {
    const body = JSON.stringify({
      error: { message: 'bad field' },
      request: quota,
      body: quota,
      input: text,
      hook_results: quota,
    })
    expect(classify({ status: 400 }, { body }).kind).toBe('invalid_request')
  })

  it("lets a gateway's own word on another try forbid it", () => {
    const body = (retryable: boolean) =>
      JSON.stringify({ error: { code: 502, message: 'x', availability: { retryable } } })
    expect(classify({ status: 502 }, { body: body(true) }).retryable).toBe(true)
    expect(classify({ status: 502 }, { body: body(false) }).retryable).toBe(false)
    expect(classify({ status: 400 }, { body: body(true) }).retryable).toBe(true)
  })
})

describe("a quota in Gemini's words, which open with OpenAI's", () => {
  const opening =
    'You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.'
  const perMinute = 'GenerateRequestsPerMinutePerProjectPerModel-FreeTier'
  const perDay = 'GenerateRequestsPerDayPerProjectPerModel-FreeTier'
  const failure = (...quotaIds: readonly string[]) => ({
    '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
    violations: quotaIds.map((quotaId) => ({ quotaMetric: 'x/y', quotaId })),
  })
  const bodyOf = (...quotaIds: readonly string[]) => ({
    error: {
      code: 429,
      message: `${opening} Please retry in 38.1s.`,
      status: 'RESOURCE_EXHAUSTED',
      details: [failure(...quotaIds), { '@type': 'RetryInfo', retryDelay: '38s' }],
    },
  })
  const repr = (body: unknown) => JSON.stringify(body).replaceAll('"', "'")
  const wrapped = (message: string) => JSON.stringify({ error: { message, code: '429' } })

  it.each([
    ['per minute', bodyOf(perMinute), 'rate_limit', true],
    ['per day', bodyOf(perDay), 'quota_exhausted', false],
    ['per minute and per day', bodyOf(perMinute, perDay), 'quota_exhausted', false],
  ])('is told by its quotaId: %s', (_, body, kind, retryable) => {
    const spellings = [
      JSON.stringify(body),
      JSON.stringify([body]),
      wrapped(`litellm.RateLimitError: VertexAIException - b'${JSON.stringify(body)}'`),
      wrapped(`Error code: 429 - ${repr([body])}`),
      wrapped(`Error code: 429 - ${repr({ padding: 'x'.repeat(5_000), ...body })}`),
    ]
    for (const sent of spellings) {
      expect(classify({ status: 429 }, { body: sent, now: 0 })).toMatchObject({ kind, retryable })
    }
    const found = classify({ status: 429 }, { body: JSON.stringify([body]), now: 0 })
    expect(found.retryAfterMs).toBe(38_000)
  })
})

describe('evidence in its order', () => {
  const judged = (message: string, status = 400, more: object = {}) =>
    classify({ status }, { body: JSON.stringify({ error: { message, ...more } }) }).kind

  it.each([
    [
      'region before money',
      'User location is not supported. insufficient balance',
      'region_blocked',
    ],
    ['money before the filter', 'insufficient balance; content management policy', 'billing'],
    [
      'the filter before context',
      'content management policy; prompt is too long',
      'content_filter',
    ],
  ])('puts %s', (_, message, kind) => {
    expect(judged(message)).toBe(kind)
  })

  it('puts context before size, size before rate, and rate before overload', () => {
    expect(judged('Request too large: the prompt is too long', 413)).toBe('context_length')
    expect(judged('Request too large: rate limit', 429)).toBe('request_too_large')
    expect(judged('Rate limit reached, model overloaded', 429)).toBe('rate_limit')
  })

  it('draws nothing from a type that every error has', () => {
    expect(judged('?', 429, { type: 'invalid_request_error' })).toBe('rate_limit')
    expect(judged('?', 402, { type: 'invalid_request_error' })).toBe('billing')
  })

  it.each(['Please retry.', 'Try again later.', 'Upgrade your plan.', 'Add a payment method.'])(
    'draws nothing from %j',
    (message) => {
      expect(judged(message, 400)).toBe('invalid_request')
      expect(judged(message, 429)).toBe('rate_limit')
      expect(judged(message, 500)).toBe('server_error')
    },
  )

  it('compares grouped thousands as numbers', () => {
    expect(judged('Limit 100,000, Requested 900', 429)).toBe('rate_limit')
    expect(judged('Limit 30,000, Requested 31,538', 429)).toBe('request_too_large')
  })
})

describe('an error with nothing but a message', () => {
  it("is judged by the provider's JSON in it", () => {
    const error = new Error(`the agent failed: 429 ${text}`)
    expect(classifyError(error)).toMatchObject({ kind: 'quota_exhausted', executed: 'maybe' })
  })

  it.each(['rate limit reached', 'insufficient_quota', '{"a":1}', '{"message":"rate limit"}'])(
    'is not judged by words of anybody: %s',
    (message) => {
      expect(classifyError(new Error(message)).kind).toBe('unknown')
    },
  )
})
