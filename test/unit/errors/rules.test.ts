import { describe, expect, it } from 'vitest'
import { CAUSE_RULES, matchCause } from '../../../src/errors/cause-rules.ts'
import { classify, classifyErrorBody } from '../../../src/errors/classify.ts'
import { readEnvelope } from '../../../src/errors/envelope.ts'
import { matchWording, STATUS_KINDS, WORDING_RULES } from '../../../src/errors/match-wording.ts'

describe('wordings', () => {
  it.each(WORDING_RULES)('reaches the line of $kind for $example', (rule) => {
    const [status, body] = rule.example
    const error = status === 200 ? undefined : status
    expect(matchWording(readEnvelope(body), error)).toBe(rule)
  })

  it.each(WORDING_RULES)('classifies the example of $kind: $example', ({ kind, example }) => {
    const [status, body] = example
    const found =
      status === 200
        ? classifyErrorBody(body.startsWith('{') ? JSON.parse(body) : body)
        : classify({ status }, { status, body })
    expect(found?.kind).toBe(kind)
  })

  it('are written in lower case, as they are compared', () => {
    for (const { when } of WORDING_RULES) {
      const words = [when.code, when.without, when.text, when.exceeds].flat().join()
      expect(words).toBe(words.toLowerCase())
    }
    for (const { when } of CAUSE_RULES) {
      const words = Object.values(when).join()
      expect(words).toBe(words.toLowerCase())
    }
  })

  it('never calls a throttle a context overflow', () => {
    const body = '{"error":{"message":"Too many tokens, please wait: maximum context length"}}'
    expect(classify({ status: 400 }, { body }).kind).toBe('invalid_request')
    const throttled = '{"error":{"message":"maximum context length of this minute reached"}}'
    expect(classify({ status: 429 }, { body: throttled }).kind).toBe('rate_limit')
  })

  it('believes a context overflow under any 5xx', () => {
    const body = '{"error":{"message":"This model\'s maximum context length is 8192 tokens."}}'
    expect(classify({ status: 502 }, { body })).toMatchObject({
      kind: 'context_length',
      retryable: false,
      executed: 'maybe',
    })
  })

  it('does not read the echo of a request beside the message', () => {
    const body = '{"detail":[{"msg":"field required","input":"maximum context length"}]}'
    expect(classify({ status: 422 }, { body }).kind).toBe('invalid_request')
  })

  it.each([
    ['Limit 7000, Used 0, Requested 12903. Try again in 50.6s', 'request_too_large'],
    ['Limit 7000, Used 6999, Requested 7000. Try again in 50.6s', 'rate_limit'],
    ['Limit: 7000, Requested: 7001', 'request_too_large'],
    ['Limit 7000, Used 0, Requested ~12903. Please try again in 50.6s', 'request_too_large'],
    ['Limit 7000, Used 6999, Requested ~6000. Please try again in 50.6s', 'rate_limit'],
    ['Limit none, Requested 12903', 'rate_limit'],
  ])('tells a request above its limit from one that comes too early: %s', (message, kind) => {
    const body = JSON.stringify({ error: { message } })
    expect(classify({ status: 429 }, { body }).kind).toBe(kind)
  })
})

describe('statuses', () => {
  it.each([
    [300, 'unknown', false, 'maybe'],
    [304, 'unknown', false, 'maybe'],
    [400, 'invalid_request', false, 'no'],
    [401, 'auth', false, 'no'],
    [402, 'billing', false, 'no'],
    [403, 'permission', false, 'no'],
    [404, 'not_found', false, 'no'],
    [405, 'invalid_request', false, 'no'],
    [407, 'auth', false, 'no'],
    [408, 'timeout', true, 'maybe'],
    [409, 'conflict', true, 'maybe'],
    [410, 'not_found', false, 'no'],
    [413, 'request_too_large', false, 'no'],
    [415, 'invalid_request', false, 'no'],
    [418, 'invalid_request', false, 'no'],
    [422, 'invalid_request', false, 'no'],
    [425, 'overloaded', true, 'no'],
    [429, 'rate_limit', true, 'no'],
    [451, 'region_blocked', false, 'no'],
    [498, 'overloaded', true, 'no'],
    [499, 'invalid_request', false, 'maybe'],
    [500, 'server_error', true, 'maybe'],
    [501, 'invalid_request', false, 'maybe'],
    [502, 'server_error', true, 'maybe'],
    [503, 'overloaded', true, 'maybe'],
    [504, 'server_error', true, 'maybe'],
    [505, 'invalid_request', false, 'maybe'],
    [520, 'server_error', true, 'maybe'],
    [529, 'overloaded', true, 'maybe'],
    [599, 'server_error', true, 'maybe'],
  ])('falls back to the status: %i is %s', (status, kind, retryable, executed) => {
    expect(classify({ status })).toEqual({ kind, retryable, executed, status })
  })

  it.each([503, 529])(
    'takes %i as surely not executed only in the words of a provider',
    (status) => {
      const executed = (body: string) => classify({ status }, { body }).executed
      expect(executed('{"error":{"message":"Overloaded"}}')).toBe('no')
      expect(executed('{"error":"Overloaded"}')).toBe('no')
      expect(executed('{"message":"Service Unavailable"}')).toBe('maybe')
      expect(executed('{"error":null}')).toBe('maybe')
      expect(executed('<html>503</html>')).toBe('maybe')
      expect(executed('')).toBe('maybe')
    },
  )

  it('is used for every status of the table', () => {
    for (const [status, kind] of Object.entries(STATUS_KINDS)) {
      expect(classify({ status: Number(status) }).kind).toBe(kind)
    }
  })
})

describe('causes', () => {
  it.each(CAUSE_RULES)('reaches the line of $kind for $example', (rule) => {
    expect(matchCause(rule.example)?.rule).toBe(rule)
  })
})
