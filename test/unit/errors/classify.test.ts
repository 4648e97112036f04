import { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError } from 'openai'
import { describe, expect, it } from 'vitest'
import { CallError } from '../../../src/errors/call-error.ts'
import {
  classify,
  classifyError,
  classifyErrorBody,
  notExecuted,
} from '../../../src/errors/classify.ts'

const wrap = (cause: unknown) =>
  new APIConnectionError({ message: 'Connection error.', cause: toError(cause) })
const toError = (cause: unknown) => (cause instanceof Error ? cause : new Error(String(cause)))
const withCode = (code: string, syscall?: string, message = code) =>
  Object.assign(new Error(message), { code, ...(syscall !== undefined && { syscall }) })
const fetchFailed = (cause: Error) => new TypeError('fetch failed', { cause })

describe('classifyError', () => {
  it.each([
    ['the caller aborted', new APIUserAbortError(), 'aborted', false, 'maybe'],
    [
      'fetch aborted',
      new DOMException('This operation was aborted', 'AbortError'),
      'aborted',
      false,
      'maybe',
    ],
    [
      'a timed out signal',
      new DOMException('The operation timed out.', 'TimeoutError'),
      'timeout',
      true,
      'maybe',
    ],
    [
      'a timed out signal inside Node',
      Object.assign(new Error('The operation was aborted'), {
        name: 'AbortError',
        code: 'ABORT_ERR',
        cause: new DOMException('', 'TimeoutError'),
      }),
      'timeout',
      true,
      'maybe',
    ],
    [
      'an abort whose reason is a timeout',
      Object.assign(new APIUserAbortError(), { cause: new DOMException('', 'TimeoutError') }),
      'aborted',
      false,
      'maybe',
    ],
    ['openai timed out', new APIConnectionTimeoutError(), 'timeout', true, 'maybe'],
    [
      'openai timed out by our own abort',
      Object.assign(new APIConnectionTimeoutError(), { cause: new DOMException('', 'AbortError') }),
      'timeout',
      true,
      'maybe',
    ],
    [
      'a bare connection error',
      new APIConnectionError({ message: 'Connection error.' }),
      'network',
      true,
      'maybe',
    ],
    [
      'connection refused',
      wrap(fetchFailed(withCode('ECONNREFUSED', 'connect'))),
      'network',
      true,
      'no',
    ],
    [
      'connection reset',
      wrap(fetchFailed(withCode('ECONNRESET', 'read'))),
      'network',
      true,
      'maybe',
    ],
    [
      'reset in the handshake',
      wrap(
        fetchFailed(
          withCode(
            'ECONNRESET',
            undefined,
            'Client network socket disconnected before secure TLS connection was established',
          ),
        ),
      ),
      'network',
      true,
      'no',
    ],
    ['no such host', wrap(fetchFailed(withCode('ENOTFOUND', 'getaddrinfo'))), 'dns', false, 'no'],
    [
      'resolver busy',
      wrap(fetchFailed(withCode('EAI_AGAIN', 'getaddrinfo'))),
      'network',
      true,
      'no',
    ],
    [
      'connect timed out',
      wrap(fetchFailed(withCode('UND_ERR_CONNECT_TIMEOUT'))),
      'timeout',
      true,
      'no',
    ],
    [
      'no headers in time',
      wrap(fetchFailed(withCode('UND_ERR_HEADERS_TIMEOUT'))),
      'timeout',
      false,
      'maybe',
    ],
    [
      'no headers in time, told by openai 7',
      Object.assign(new APIConnectionTimeoutError(), {
        cause: fetchFailed(withCode('UND_ERR_HEADERS_TIMEOUT')),
      }),
      'timeout',
      false,
      'maybe',
    ],
    [
      'body stalled',
      new TypeError('terminated', { cause: withCode('UND_ERR_BODY_TIMEOUT') }),
      'timeout',
      false,
      'maybe',
    ],
    [
      'body cut',
      new TypeError('terminated', {
        cause: withCode('UND_ERR_SOCKET', undefined, 'other side closed'),
      }),
      'network',
      true,
      'maybe',
    ],
    ['body cut, bare', new TypeError('terminated'), 'network', true, 'maybe'],
    [
      'host unreachable',
      wrap(fetchFailed(withCode('EHOSTUNREACH', 'connect'))),
      'network',
      true,
      'no',
    ],
    [
      'unreachable while reading',
      wrap(fetchFailed(withCode('EHOSTUNREACH', 'read'))),
      'network',
      true,
      'maybe',
    ],
    ['self-signed', wrap(fetchFailed(withCode('DEPTH_ZERO_SELF_SIGNED_CERT'))), 'tls', false, 'no'],
    ['self-signed, message only', wrap(new Error('self signed certificate')), 'tls', false, 'no'],
    ['wrong TLS version', wrap(fetchFailed(withCode('EPROTO', 'write'))), 'tls', false, 'no'],
    ['hang up', new Error('socket hang up'), 'network', true, 'maybe'],
    ['a thrown string', 'socket hang up', 'network', true, 'maybe'],
    ['a wrong URL', wrap(fetchFailed(withCode('ERR_INVALID_URL'))), 'invalid_request', false, 'no'],
    ['a bug', new RangeError('Invalid array length'), 'unknown', false, 'maybe'],
    [
      'a bug that mentions termination',
      new Error('the worker was terminated by its parent'),
      'unknown',
      false,
      'maybe',
    ],
    [
      'a bad JSON of the user',
      new SyntaxError('Unexpected end of JSON input'),
      'unknown',
      false,
      'maybe',
    ],
    ['nothing', undefined, 'unknown', false, 'maybe'],
  ])('knows %s', (_, error, kind, retryable, executed) => {
    expect(classifyError(error)).toMatchObject({ kind, retryable, executed })
  })

  it('reports the code of the runtime', () => {
    expect(classifyError(wrap(fetchFailed(withCode('ECONNREFUSED')))).code).toBe('ECONNREFUSED')
  })

  it('takes all addresses refused as surely not executed, and one reset among them as maybe', () => {
    const refused = withCode('ECONNREFUSED')
    expect(classifyError(new AggregateError([refused, refused])).executed).toBe('no')
    expect(classifyError(new AggregateError([refused, withCode('ECONNRESET')])).executed).toBe(
      'maybe',
    )
    expect(classifyError(new AggregateError([refused, new Error('?')])).executed).toBe('maybe')
  })

  it('finds an answer below a wrapper', () => {
    const inner = APIError.generate(
      429,
      { error: { message: 'slow' } },
      undefined,
      new Headers({ 'retry-after': '3' }),
    )
    expect(classifyError(new Error('the job failed', { cause: inner }))).toMatchObject({
      kind: 'rate_limit',
      status: 429,
      retryAfterMs: 3000,
    })
  })

  it.each([
    [
      'AI SDK',
      {
        statusCode: 429,
        responseHeaders: { 'Retry-After': '7' },
        responseBody: '{"error":{"code":"insufficient_quota"}}',
      },
    ],
    [
      'axios',
      {
        response: {
          status: 429,
          headers: { 'retry-after': '7' },
          data: { error: { code: 'insufficient_quota' } },
        },
      },
    ],
    [
      'Anthropic',
      {
        status: 429,
        headers: new Headers({ 'retry-after': '7' }),
        error: { type: 'error', error: { type: 'insufficient_quota' } },
      },
    ],
  ])('reads the names %s uses', (_, error) => {
    expect(classifyError(error)).toMatchObject({
      kind: 'quota_exhausted',
      retryAfterMs: 7000,
      code: 'insufficient_quota',
    })
  })

  it('reads the error event of a stream, which has no status', () => {
    const error = new APIError(
      undefined,
      { message: 'That model is currently overloaded', type: 'server_error' },
      undefined,
      undefined,
    )
    expect(classifyError(error)).toEqual({
      kind: 'overloaded',
      retryable: true,
      executed: 'maybe',
      code: 'server_error',
    })
  })

  it('leaves the verdict of a CallError as it is', () => {
    const error = new CallError({
      kind: 'rate_limit',
      message: 'x',
      retryable: false,
      executed: 'maybe',
      retryAfterMs: 5,
      status: 429,
      code: 'c',
      requestId: 'r',
    })
    const verdict = {
      kind: 'rate_limit',
      retryable: false,
      executed: 'maybe',
      retryAfterMs: 5,
      status: 429,
      code: 'c',
      requestId: 'r',
    }
    expect(classifyError(error)).toEqual(verdict)
    expect(classifyError(new Error('outer', { cause: error }))).toEqual(verdict)
  })

  it('measures a date against the given time', () => {
    const error = { status: 503, headers: { 'retry-after': 'Thu, 01 Jan 1970 00:01:00 GMT' } }
    expect(classifyError(error, 20_000).retryAfterMs).toBe(40_000)
  })

  it('keeps free text out of the code', () => {
    const body = JSON.stringify({ error: { code: 'my secret prompt', type: 'x_type' } })
    expect(classify({ status: 400 }, { body }).code).toBe('x_type')
  })
})

describe('x-should-retry', () => {
  const judged = (status: number, told: string, body = '') => {
    const { kind, retryable } = classify({ status }, { body, headers: { 'x-should-retry': told } })
    return { kind, retryable }
  }

  it('false forbids any retry and leaves the kind', () => {
    expect(judged(429, 'false')).toEqual({ kind: 'rate_limit', retryable: false })
    expect(judged(500, 'false')).toEqual({ kind: 'server_error', retryable: false })
    expect(classifyErrorBody({}, { headers: { 'x-should-retry': 'false' } })?.retryable).toBe(false)
  })

  it('true upgrades a kind found by the status alone', () => {
    expect(judged(400, 'true')).toEqual({ kind: 'invalid_request', retryable: true })
    expect(judged(304, 'true')).toEqual({ kind: 'unknown', retryable: true })
  })

  it('true never upgrades what a body told, nor money', () => {
    const overflow = '{"error":{"code":"context_length_exceeded"}}'
    expect(judged(400, 'true', overflow)).toEqual({ kind: 'context_length', retryable: false })
    expect(judged(402, 'true')).toEqual({ kind: 'billing', retryable: false })
    expect(judged(429, 'true', '{"error":{"type":"insufficient_quota"}}').retryable).toBe(false)
  })

  it('true does not make an abort worth a retry', () => {
    const evidence = { headers: { 'x-should-retry': 'true' } }
    expect(classify(new APIUserAbortError(), evidence).retryable).toBe(false)
  })

  it('is ignored in any other spelling', () => {
    expect(judged(429, 'no').retryable).toBe(true)
    expect(judged(400, 'yes').retryable).toBe(false)
  })
})

describe('evidence from the wire', () => {
  it('restores a body that the error dropped', () => {
    const error = APIError.generate(400, { message: 'lost' }, undefined, new Headers())
    const body = `{"object":"error","message":"This model's maximum context length is 10 tokens."}`
    expect(classifyError(error).kind).toBe('invalid_request')
    expect(classify(error, { status: 400, body }).kind).toBe('context_length')
  })

  it('is not believed when it belongs to another answer', () => {
    const body = '{"error":{"code":"insufficient_quota"}}'
    expect(classify({ status: 500 }, { status: 429, body }).kind).toBe('server_error')
  })

  it('decides when the error itself says nothing', () => {
    expect(classify(new Error('?'), { status: 503, body: '' }).kind).toBe('overloaded')
  })

  it('takes a garbled answer of a good status for a cut one', () => {
    const error = new SyntaxError('Unexpected end of JSON input')
    expect(classify(error, { status: 200 })).toEqual({
      kind: 'network',
      retryable: true,
      executed: 'maybe',
    })
  })

  it('yields to an abort', () => {
    expect(classify(new APIUserAbortError(), { status: 500 }).kind).toBe('aborted')
  })
})

describe('classifyErrorBody', () => {
  const choice = { index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }

  it.each([
    ['a completion', { choices: [choice] }],
    ['a null error beside it', { choices: [choice], error: null }],
    ['an empty error beside it', { choices: [{ ...choice, error: {} }], error: {} }],
    [
      'a filter result with an error of its own',
      {
        choices: [
          {
            ...choice,
            content_filter_results: {
              error: { code: 'content_filter_error', message: 'The contents are not filtered' },
            },
          },
        ],
      },
    ],
    ['an empty content', { choices: [{ ...choice, message: { content: null } }] }],
  ])('lets %s pass', (_, body) => {
    expect(classifyErrorBody(body)).toBeUndefined()
  })

  it.each([
    ['no choices', { id: 'x' }, 'empty_response', true],
    ['empty choices', { choices: [] }, 'empty_response', true],
    ['choices that are no list', { choices: 'x' }, 'empty_response', true],
    ['null', null, 'empty_response', true],
    ['nothing', undefined, 'empty_response', true],
    ['a page', '<html><title>Welcome</title></html>', 'empty_response', true],
    ['an error page', '<html><title>502 Bad Gateway</title></html>', 'server_error', true],
    ['an error as text', '{"error":{"code":"insufficient_quota"}}', 'quota_exhausted', false],
    ['an error as a string', { error: 'Rate limit reached for gpt-4o' }, 'rate_limit', true],
    ['a list of errors', [{ error: { code: 429, message: 'slow' } }], 'rate_limit', true],
    ['a status without an error', { status: 429, title: 'Too Many Requests' }, 'rate_limit', true],
    ['an error of unknown wording', { error: { message: 'Hm.' } }, 'unknown', false],
    ['an error beside choices', { error: { code: 502 }, choices: [choice] }, 'server_error', true],
    [
      'an error in the second choice',
      { choices: [choice, { ...choice, error: { code: 503, message: 'x' } }] },
      'overloaded',
      true,
    ],
  ])('reports %s', (_, body, kind, retryable) => {
    expect(classifyErrorBody(body)).toMatchObject({
      kind,
      retryable,
      executed: 'maybe',
      status: 200,
    })
  })

  it('reads hint and request id of the answer', () => {
    const headers = { 'retry-after': '2', 'x-request-id': 'req_1' }
    expect(classifyErrorBody({ error: { code: 429 } }, { headers })).toMatchObject({
      retryAfterMs: 2000,
      requestId: 'req_1',
    })
  })
})

describe('notExecuted', () => {
  it('makes an error of the user surely not executed, and changes nothing else', () => {
    const error = new Error('socket hang up')
    expect(notExecuted(error)).toBe(error)
    expect(classifyError(error)).toEqual({ kind: 'network', retryable: true, executed: 'no' })
  })

  it('marks frozen objects and proxies that refuse', () => {
    const frozen = Object.freeze(new Error('x'))
    expect(notExecuted(frozen)).toBe(frozen)
    expect(classifyError(frozen).executed).toBe('no')
    const refusing = new Proxy(new Error('x'), {
      defineProperty: () => {
        throw new Error('no')
      },
    })
    notExecuted(refusing)
    expect(classifyError(refusing).executed).toBe('no')
  })

  it('wraps what cannot be marked', () => {
    const error = notExecuted('socket hang up')
    expect(error).toMatchObject({ cause: 'socket hang up' })
    expect(classifyError(error)).toMatchObject({ kind: 'network', executed: 'no' })
  })

  it('is seen below a wrapper, and not on another error', () => {
    expect(classifyError(new Error('outer', { cause: notExecuted(new Error('x')) })).executed).toBe(
      'no',
    )
    expect(classifyError(new Error('x')).executed).toBe('maybe')
  })

  it('leaves no enumerable trace', () => {
    expect(Object.keys(notExecuted({ message: 'x' }))).toEqual(['message'])
  })
})

describe('hostile errors', () => {
  const throws = () => {
    throw new Error('trap')
  }

  it('survives getters that throw, and reads what is left', () => {
    const error = Object.defineProperties(new Error('socket hang up'), {
      cause: { get: throws },
      status: { get: throws },
      code: { get: throws },
    })
    expect(classifyError(error).kind).toBe('network')
  })

  it('survives proxies that refuse everything, and revoked ones', () => {
    const refusing = new Proxy(
      {},
      { get: throws, ownKeys: throws, has: throws, getPrototypeOf: throws },
    )
    const { proxy, revoke } = Proxy.revocable([], {})
    revoke()
    for (const hostile of [refusing, proxy]) {
      expect(classifyError(hostile).kind).toBe('unknown')
      expect(
        classifyError({ status: 429, headers: hostile, error: hostile, errors: hostile }).kind,
      ).toBe('rate_limit')
      expect(classifyErrorBody({ error: hostile, choices: hostile })?.kind).toBe('empty_response')
    }
  })

  it('ends on cyclic and endless causes', () => {
    const cyclic = new Error('a')
    cyclic.cause = new Error('b', { cause: cyclic })
    expect(classifyError(cyclic).kind).toBe('unknown')
    const wide: { errors: unknown[] } = { errors: [] }
    wide.errors = Array.from({ length: 32 }, () => wide)
    expect(classifyError(wide).kind).toBe('unknown')
    let asked = 0
    const endless = {
      get cause() {
        asked++
        return endless
      },
    }
    expect(classifyError(endless).kind).toBe('unknown')
    expect(asked).toBeLessThan(100)
  })

  it('never reads more of a body than its cap', () => {
    const late = `${' '.repeat(10_000_000)}maximum context length`
    expect(classify({ status: 400 }, { body: late }).kind).toBe('invalid_request')
    expect(classify({ status: 400, error: { message: late } }).kind).toBe('invalid_request')
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    expect(classify({ status: 400 }, { body: deep }).kind).toBe('invalid_request')
  })

  it('is not fooled by __proto__ in a body', () => {
    const body =
      '{"__proto__":{"error":{"code":"insufficient_quota"}},"error":{"__proto__":{"code":"content_filter"},"message":"x"}}'
    expect(classify({ status: 400 }, { body }).kind).toBe('invalid_request')
    expect(Reflect.get({}, 'error')).toBeUndefined()
  })
})
