import { describe, expect, it } from 'vitest'
import { classifyErrorBody } from '../../../src/errors/classify.ts'
import {
  type Body,
  chunk,
  DONE,
  event,
  majors,
  outcomeOf,
  role,
  stop,
  text,
  whole,
} from '../../support/event-streams.ts'

const TOO_LONG =
  "This model's maximum context length is 163840 tokens. However, you requested 190000 tokens."
const choices = [{ index: 0, delta: {}, finish_reason: null }]

/** Errors as they come in a stream, each with its kind. */
const errors: readonly [object, string][] = [
  [
    { choices: null, error_type: 'BadRequestError', error_message: TOO_LONG, error_code: 400 },
    'context_length',
  ],
  [
    { object: 'error', message: TOO_LONG, type: 'BadRequestError', param: null, code: 400 },
    'context_length',
  ],
  [{ object: 'error', message: 'no word that is known', code: 503 }, 'overloaded'],
  [{ object: 'error', message: 'no word that is known' }, 'empty_response'],
  [{ type: 'error', message: 'no word that is known' }, 'empty_response'],
  [{ detail: 'Rate limit exceeded' }, 'rate_limit'],
  [{ detail: 'no word that is known' }, 'empty_response'],
  [
    { detail: [{ loc: ['body'], msg: 'field required', type: 'missing' }], status: 422 },
    'invalid_request',
  ],
  [{ message: 'no word that is known', choices: null }, 'empty_response'],
  [
    { error_type: 'RateLimitError', error_message: 'no word that is known', error_code: '429' },
    'rate_limit',
  ],
  [{ error_code: 429, choices: [] }, 'rate_limit'],
  [{ status: 503, choices: [] }, 'overloaded'],
  [{ status_code: 401, message: 'no' }, 'auth'],
  [{ error_message: 'Rate limit exceeded', choices }, 'rate_limit'],
  [{ error_message: 'no word that is known', choices }, 'unknown'],
  [{ error: 'no word that is known', code: 429 }, 'rate_limit'],
  [{ error: { message: 'no word that is known' }, status_code: 503 }, 'overloaded'],
  [{ error: { message: 'no word that is known', code: 429 }, choices }, 'rate_limit'],
  [
    { error: { message: '{"error":{"code":"insufficient_quota","message":"no"}}' } },
    'quota_exhausted',
  ],
  [{ message: 'upstream said {"error":{"code":429,"message":"no"}}' }, 'rate_limit'],
  [{ x_groq: { error: 'over capacity' }, choices }, 'overloaded'],
  [{ base_resp: { status_code: 1002, status_msg: 'no' }, choices: null }, 'rate_limit'],
  // By names that nobody has written down.
  [
    { fault: { faultstring: 'no word that is known', detail: { errorcode: 'x.y' } } },
    'empty_response',
  ],
  [{ fault: { faultstring: 'Rate limit exceeded' } }, 'rate_limit'],
  [{ Message: 'no word that is known' }, 'empty_response'],
  [{ Message: 'Rate limit exceeded' }, 'rate_limit'],
  [{ err: 'no word that is known' }, 'empty_response'],
  [{ err: { code: 429 } }, 'rate_limit'],
  [{ success: false, result: null }, 'empty_response'],
  [{ success: false, code: 200, msg: 'no word that is known' }, 'empty_response'],
  [{ success: false, choices: [] }, 'empty_response'],
  [{ ok: false }, 'empty_response'],
  [{ isSuccess: 'false' }, 'empty_response'],
  [{ failed: true }, 'empty_response'],
  [{ is_error: true, result: 'no word that is known' }, 'empty_response'],
  [{ status: 'failed' }, 'empty_response'],
  [{ status: 'error', choices: [] }, 'empty_response'],
  [{ type: 'response.failed' }, 'empty_response'],
  [{ result: 'ERROR' }, 'empty_response'],
  [{ Error: 'no word that is known' }, 'empty_response'],
  [{ ERROR_MESSAGE: 'no word that is known' }, 'empty_response'],
  [{ errorText: 'no word that is known' }, 'empty_response'],
  [{ exception: 'java.lang.NullPointerException' }, 'empty_response'],
  [{ throttlingException: { message: 'no word that is known' } }, 'rate_limit'],
  [{ internalServerException: { message: 'no word that is known' } }, 'empty_response'],
  [{ errors: ['no word that is known'] }, 'empty_response'],
  [{ statusText: 'no word that is known' }, 'empty_response'],
  [{ usage: { prompt_tokens: 1 }, fault: 'no word that is known' }, 'empty_response'],
  [{ choices: [{ index: 0, delta: {}, finish_reason: 'network_error' }] }, 'server_error'],
  // Where its status is, by whatever name.
  [{ httpStatusCode: 503 }, 'overloaded'],
  [{ StatusCode: '401', x: 'no word that is known' }, 'auth'],
  [{ 'status-code': 429, choices: [] }, 'rate_limit'],
  [{ error_http_status: 429 }, 'rate_limit'],
  // One level further down.
  [{ data: { error: { message: 'no word that is known', code: 429 } } }, 'rate_limit'],
  [{ data: { error: 'no word that is known' } }, 'unknown'],
  [{ type: 'response.failed', response: { error: { code: 'rate_limit_exceeded' } } }, 'rate_limit'],
  [{ status: { code: 503, message: 'no word that is known' } }, 'overloaded'],
  [{ result: { error_code: 336_501, error_msg: 'Rate limit exceeded' } }, 'rate_limit'],
  [
    { Response: { Error: { Code: 'x', Message: 'no word that is known' }, RequestId: 'x' } },
    'empty_response',
  ],
  [
    { ResponseMetadata: { RequestId: 'x', Error: { Message: 'Rate limit exceeded' } } },
    'rate_limit',
  ],
  [{ output: { status: 'failed' }, choices: [] }, 'empty_response'],
  [{ message: { error: 'Rate limit exceeded' } }, 'rate_limit'],
  // Choices that are none.
  [{ choices: [], message: 'no word that is known' }, 'empty_response'],
  [{ choices: {}, detail: 'no word that is known' }, 'empty_response'],
  [{ choices: '', detail: ['no word that is known'] }, 'empty_response'],
  ...Object.entries({
    abort: 'server_error',
    Error: 'server_error',
    server_error: 'server_error',
    internalError: 'server_error',
    'upstream failed': 'server_error',
    'FinishReason.FAILURE': 'server_error',
    aborted: 'server_error',
    CANCELLED: 'server_error',
    canceled: 'server_error',
    interrupted: 'server_error',
    timeout: 'timeout',
    TIMED_OUT: 'timeout',
  }).map(([finish_reason, kind]): [object, string] => [
    { choices: [{ index: 0, delta: {}, finish_reason }] },
    kind,
  ]),
]
const RETRIED = ['rate_limit', 'overloaded', 'server_error', 'timeout', 'empty_response']

describe.each(majors)('an error in a stream of %s', (_, Client) => {
  it.each(errors)('%j is the %s that it is as a body', async (body, kind) => {
    expect(classifyErrorBody(body)?.kind).toBe(kind)
    const first = await outcomeOf(Client, [[role, event(body), DONE], whole])
    const outcomes = first.report?.attempts.map(({ outcome }) => outcome)
    if (RETRIED.includes(kind)) {
      expect(first).toMatchObject({ text: 'Hello', thrown: undefined, requests: 2 })
      expect(outcomes).toEqual([kind, 'success'])
    } else {
      expect(first).toMatchObject({ requests: 1, chunks: 0 })
      expect(first.thrown).toBeInstanceOf(Client.APIError)
      expect(outcomes).toEqual([kind])
    }
  })

  it.each(errors)('%j behind content is an error, though [DONE] follows', async (body, kind) => {
    const seen = await outcomeOf(Client, [[role, text('Hel'), event(body), DONE], whole])
    expect(seen).toMatchObject({ text: 'Hel', requests: 1, outcome: kind })
    expect(seen.report?.reason).toBe('delivered')
    expect(seen.thrown).toBeInstanceOf(Client.APIError)
  })

  it.each([429, 1, {}, [], true, ' ', 'none', { message: '' }, { code: 0 }])(
    'of nothing but %j is the one that openai throws, though [DONE] follows',
    async (error) => {
      for (const more of [{}, { choices }, { choices: [] }]) {
        const seen = await outcomeOf(Client, [[role, text('Hel'), event({ error, ...more }), DONE]])
        expect(seen).toMatchObject({ text: 'Hel', requests: 1 })
        expect(seen.thrown).toBeInstanceOf(Client.APIError)
        expect(seen.outcome).not.toBe('success')
        const ended = [role, text('Hello'), stop, event({ error, ...more }), DONE]
        expect((await outcomeOf(Client, [ended])).thrown).toBeInstanceOf(Client.APIError)
      }
    },
  )

  it.each([
    { base_resp: { status_code: 99_999, status_msg: 'no word that is known' } },
    { error_message: 'no word that is known', choices },
    { error: 'no word that is known', choices },
  ])('%j, of which nothing is known, is an APIError', async (body) => {
    for (const before of [[], [role, text('Hel')]]) {
      const seen = await outcomeOf(Client, [[...before, event(body), DONE]])
      expect(seen).toMatchObject({ requests: 1, outcome: 'unknown' })
      expect(seen.thrown).toBeInstanceOf(Client.APIError)
    }
  })

  it.each([
    ['{"message":"Overloaded","type":"overloaded_error"}', 'overloaded'],
    ['{"error":{"message":"no word that is known"},"code":429}', 'rate_limit'],
    ['{"message":"no word that is known"}', 'empty_response'],
    ['{"reason":"no word that is known"}', 'empty_response'],
    ['{}', 'empty_response'],
    ['Internal Server Error', 'server_error'],
    ['Rate limit exceeded', 'rate_limit'],
    ['no word that is known', 'server_error'],
    ['"Rate limit exceeded"', 'rate_limit'],
  ])('as an event named error, %s, is %s', async (data, kind) => {
    for (const end of ['\n\n', '']) {
      const body = [role, text('Hel'), `event: error\ndata: ${data}${end}`]
      const seen = await outcomeOf(Client, [body])
      expect(seen.thrown).toBeInstanceOf(Client.APIError)
      if (end !== '' || kind !== 'server_error') expect(seen.outcome).toBe(kind)
    }
  })

  it('keeps the words of the provider as its cause', async () => {
    const body = { choices: null, error_type: 'BadRequestError', error_message: TOO_LONG }
    const { thrown } = await outcomeOf(Client, [[event(body)]])
    expect(thrown).toMatchObject({ cause: body })
  })

  it.each([
    ['a usage', { choices: [], usage: { prompt_tokens: 1, completion_tokens: 2 } }],
    ['what Azure sends first', { choices: [], prompt_filter_results: [{ prompt_index: 0 }] }],
    ['a ping', { type: 'ping' }],
    ['nothing', {}],
    ['an error that is none', { error: null, choices }],
    ['a success in error fields', { error_code: 0, error_msg: 'success', choices }],
    ['a status beside a choice', { status: 500, choices }],
    ['an empty error field', { error_message: '', error_type: null, choices }],
    ['a state', { status: 'ok', choices: [] }],
    ['a state that goes on', { status: 'in_progress', choices: [] }],
    ['Groq’s id', { x_groq: { id: 'req_1' }, choices }],
    ['MiniMax’s success', { base_resp: { status_code: 0, status_msg: 'success' }, choices: [] }],
    ['a ping with words', { type: 'ping', message: 'keep-alive' }],
    ['a heartbeat', { event: 'heartbeat', message: 'rate limited, waiting' }],
    ['a state with words', { status: 'processing', detail: 'overloaded, in the queue' }],
    ['a message of another protocol', { type: 'message_start', message: { role: 'assistant' } }],
    ['the end of one', { type: 'message_stop' }],
    ['an answer of another protocol', { response: { status: 'in_progress', error: null } }],
    ['a ping with a body', { type: 'ping', data: { error: 'no word that is known' } }],
    ['a success further down', { data: { code: 0, error_msg: 'no word that is known' } }],
    ['a state further down', { status: { code: 200, message: 'no word that is known' } }],
    ['counts further down', { result: { errors: 0, failures: [], retry_on_error: true } }],
    ['a filter that failed', { prompt_filter_results: [{ error: { code: 'x' } }], choices: [] }],
    ['a usage alone', { usage: { prompt_tokens: 1, completion_tokens: 2 } }],
    ['an obfuscation', { obfuscation: 'aXk2' }],
    ['a comment of a router', { comment: 'OPENROUTER PROCESSING' }],
    ['a router’s name', { provider: 'Azure', openrouter_metadata: { attempt: 1 } }],
    ['Groq’s usage', { x_groq: { id: 'req_1', usage: { total_tokens: 3 } } }],
    ['citations', { citations: ['https://example.com/404'], search_results: [{ title: 'x' }] }],
    [
      'a member that nobody knows',
      { vendor: { retry_on_error: true, reason: 'x' }, latency_ms: 3 },
    ],
    ['counts of none', { errors: [], failures: 0, err: null, error_code: 0, is_error: false }],
    ['a success', { success: true, message: 'no word that is known', code: 0 }],
    ['a number, a list, a text', [1, 'x']],
  ])('is not seen in %s', async (_what, body) => {
    const extra = event(body)
    const streams = [
      [extra, text('Hello'), stop, event({ choices: [] })],
      [role, text('Hel'), extra, text('lo'), extra, stop, extra, DONE],
    ]
    for (const stream of streams) {
      const seen = await outcomeOf(Client, [stream])
      expect(seen).toMatchObject({ outcome: 'success', thrown: undefined, text: 'Hello' })
      expect(seen.requests).toBe(1)
    }
  })

  it('is not seen in a null', async () => {
    const body = [event(null), text('Hello'), stop, event({ choices: [] })]
    expect(await outcomeOf(Client, [body])).toMatchObject({ outcome: 'success', requests: 1 })
  })

  it('is not seen in what a model writes', async () => {
    const words = '{"error":{"code":429,"message":"Rate limit exceeded"}}'
    const body = [role, text(words), text('event: error\n\ndata: [DONE]\n\n'), stop]
    expect(await outcomeOf(Client, [body])).toMatchObject({ outcome: 'success', requests: 1 })
  })
})

describe.each(majors)('what is no event stream, read with %s,', (_, Client) => {
  const completion = {
    id: 'c',
    object: 'chat.completion',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'Rate limit exceeded' },
        finish_reason: 'stop',
      },
    ],
    usage: { prompt_tokens: 1, completion_tokens: 2 },
  }

  it.each<[string, Body, string, number]>([
    ['a page of a gateway', ['<html><title>502 Bad Gateway</title></html>'], 'server_error', 2],
    [
      'a page that says nothing known',
      ['<!doctype html>\n<html><p>Welcome</html>'],
      'empty_response',
      2,
    ],
    ['a text', ['upstream connect error or disconnect: connection timeout'], 'timeout', 2],
    [
      'an error as one body',
      [JSON.stringify({ error: { message: 'no', code: 429 } })],
      'rate_limit',
      2,
    ],
    [
      'a printed error',
      [JSON.stringify({ error: { message: 'no', code: 401 } }, null, 2)],
      'auth',
      1,
    ],
    ['an empty object', ['{}'], 'empty_response', 2],
    ['a completion', [JSON.stringify(completion)], 'unknown', 1],
    ['a printed completion', [JSON.stringify(completion, null, 2)], 'unknown', 1],
    [
      'a long completion',
      [JSON.stringify({ ...completion, pad: 'x'.repeat(600_000) })],
      'unknown',
      1,
    ],
    ['half of a completion', [JSON.stringify(completion).slice(0, 90)], 'network', 2],
    ['nothing', [], 'network', 2],
    ['comments', [': one\n\n: two\n\n'], 'network', 2],
    ['half of an event', ['data: {"choices":[{"ind'], 'network', 2],
    ['chunks one a line', [`${text('Hel').slice(6)}${stop.slice(6)}`], 'server_error', 2],
  ])('%s, is judged by what it says', async (_what, body, kind, requests) => {
    const seen = await outcomeOf(Client, [body, whole])
    expect(seen.requests).toBe(requests)
    expect(seen.report?.attempts[0]?.outcome).toBe(kind)
    if (requests === 1) expect(seen.thrown).toBeInstanceOf(Client.APIError)
    else expect(seen.text).toBe('Hello')
  })

  it('a completion, was paid for: the error says what came, and nothing is sent again', async () => {
    const { thrown, report } = await outcomeOf(Client, [[JSON.stringify(completion)]])
    expect(report?.attempts).toMatchObject([{ executed: 'yes', retryable: false }])
    expect(String(thrown)).toContain('a whole completion where a stream was asked for')
    expect(String(thrown)).not.toContain('Rate limit')
  })
})

describe.each(majors)('an error as a body of its own behind chunks, read with %s,', (_, Client) => {
  const quota = { error: { message: 'no', code: 'insufficient_quota' } }

  it.each([
    ['on one line', `${JSON.stringify(quota)}\n`],
    ['printed', JSON.stringify(quota, null, 2)],
    ['without an error member', '{"Message":"You exceeded your current quota"}'],
  ])('%s, is judged by what it says, before content and after it', async (_what, body) => {
    const early = await outcomeOf(Client, [[role, body], whole])
    expect(early).toMatchObject({ requests: 1, outcome: 'quota_exhausted' })
    const late = await outcomeOf(Client, [[role, text('Hel'), body], whole])
    expect(late).toMatchObject({ text: 'Hel', requests: 1, outcome: 'quota_exhausted' })
    expect(late.thrown).toBeInstanceOf(Client.APIError)
  })

  it.each([
    ['a page of a gateway', '<html><title>502 Bad Gateway</title></html>'],
    ['a page that says nothing known', '<html><p>Welcome</html>\n'],
    ['events by names that are none', `${text('lo').replace('data', 'DATA')}\n\n`],
    ['chunks without the fields of events', `${text('lo').slice(6)}${stop.slice(6)}`],
    ['an end that is no event', '[DONE]\n\n'],
    ['bytes of another encoding', '\u0000\u0001\u0002\u0003'],
  ])('%s, is the server’s failure, never the connection’s', async (_what, body) => {
    const early = await outcomeOf(Client, [[role, body], whole])
    expect(early).toMatchObject({ text: 'Hello', requests: 2 })
    expect(early.report?.attempts[0]?.outcome).toBe('server_error')
    const late = await outcomeOf(Client, [[role, text('Hel'), body]])
    expect(late).toMatchObject({ text: 'Hel', requests: 1, outcome: 'server_error' })
    expect(late.thrown).toBeInstanceOf(Client.APIError)
    expect(String(late.thrown)).not.toContain('Check the connection')
  })

  it('is no more than a cut where it says nothing', async () => {
    const seen = await outcomeOf(Client, [[role, text('Hel'), '{"type":"ping"}\n']])
    expect(seen).toMatchObject({ text: 'Hel', outcome: 'network' })
  })
})

describe.each(majors)('an event that is not JSON, read with %s,', (_, Client) => {
  it.each([
    'data: {"choices": [oops\n\n',
    'data: {"choices":[{"index":0,"delta":{"content":"Rate limit exceeded"}\n\n',
    'data: \n\n',
    'data: undefined\n\n',
    "data: {'choices': []}\n\n",
    'data: {"choices":[]}\ndata: {"choices":[]}\n\n',
    'data: <html>\n\n',
  ])('%j, is the server’s failure, never the connection’s', async (garbled) => {
    const early = await outcomeOf(Client, [[role, garbled, stop, DONE], whole])
    expect(early).toMatchObject({ text: 'Hello', thrown: undefined, requests: 2 })
    expect(early.report?.attempts[0]).toMatchObject({ outcome: 'server_error', retryable: true })

    const late = await outcomeOf(Client, [[role, text('Hel'), garbled, stop, DONE], whole])
    expect(late).toMatchObject({ text: 'Hel', requests: 1, outcome: 'server_error' })
    expect(late.thrown).toBeInstanceOf(Client.APIError)
    expect(late.thrown).not.toBeInstanceOf(Client.APIConnectionError)
    expect(String(late.thrown)).toContain('the stream had an event that is not JSON')
    expect(String(late.thrown)).not.toContain('Check the connection')
    expect(String(late.thrown)).not.toContain('Rate limit')
  })

  it('says what it says, where that is known', async () => {
    const seen = await outcomeOf(Client, [[role, text('Hel'), 'data: Rate limit exceeded\n\n']])
    expect(seen.outcome).toBe('rate_limit')
  })

  it('cut by the end of the connection, is a cut', async () => {
    const seen = await outcomeOf(Client, [
      [role, text('Hel'), chunk({ delta: { content: 'lo' } }).slice(0, 40)],
    ])
    expect(seen).toMatchObject({ text: 'Hel', outcome: 'network' })
  })

  it('in bytes that are no UTF-8, is what openai makes of them', async () => {
    const [before = '', after = ''] = text('He#lo').split('#')
    const broken = Buffer.concat([Buffer.from(before), Buffer.of(0xff), Buffer.from(after)])
    expect(await outcomeOf(Client, [[role, broken, stop, DONE]])).toMatchObject({
      text: 'He\uFFFDlo',
      outcome: 'success',
    })
  })
})

describe.each(majors)('a chunk that openai cannot read, with %s,', (name, Client) => {
  const broken = event({ choices: [null] })

  it('is the server’s failure where openai falls over it, and no end', async () => {
    const seen = await outcomeOf(Client, [[role, text('Hel'), broken, DONE]])
    // openai 6 hands it on as it came: there [DONE] is the end.
    expect(seen).toMatchObject({
      text: 'Hel',
      outcome: name === 'openai 6' ? 'success' : 'server_error',
    })
    if (name === 'openai 6') return
    expect(seen.thrown).toBeInstanceOf(Client.APIError)
    expect(String(seen.thrown)).toContain('the stream had an event that is no chunk')
    const early = await outcomeOf(Client, [[role, broken, DONE], whole])
    expect(early).toMatchObject({ text: 'Hello', requests: 2, outcome: 'success' })
  })

  it('is the error that it says', async () => {
    const error = event({ choices: [null], error_message: 'Rate limit exceeded' })
    const seen = await outcomeOf(Client, [[role, text('Hel'), error, DONE]])
    expect(seen).toMatchObject({ text: 'Hel', outcome: 'rate_limit' })
  })

  it('behind a body that breaks, is what broke it', async () => {
    const ended = [
      role,
      text('Hello'),
      stop,
      new TypeError('terminated', { cause: new Error('x') }),
    ]
    expect(await outcomeOf(Client, [ended])).toMatchObject({ text: 'Hello', outcome: 'success' })
  })
})
