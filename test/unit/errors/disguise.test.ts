import { createServer, type Server } from 'node:http'
import OpenAI from 'openai'
import OpenAIv6 from 'openai-v6'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { classifyError, classifyErrorChunk } from '../../../src/errors/classify.ts'

const request = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }
const chunk = (delta: object, finish_reason: string | null = null, more: object = {}) => ({
  id: 'x',
  object: 'chat.completion.chunk',
  created: 0,
  model: 'm',
  choices: [{ index: 0, delta, finish_reason }],
  ...more,
})

// As a relay of Bedrock has sent it.
const THROTTLE = '{"message":"Too many tokens, please wait before trying again."}'

const overloaded = { message: 'Overloaded', code: 529 }

const STREAMS = {
  content: [chunk({ role: 'assistant' }), chunk({ content: THROTTLE }, 'error_finish')],
  finish: [chunk({ role: 'assistant' }), chunk({ content: '' }, 'error')],
  choice: [
    chunk({}, null, {
      choices: [{ index: 0, delta: {}, finish_reason: 'error', error: overloaded }],
    }),
  ],
  deepseek: [chunk({}, 'insufficient_system_resource')],
  minimax: [
    chunk({}, null, { choices: null, base_resp: { status_code: 1002, status_msg: 'rate limit' } }),
  ],
  good: [
    chunk({ role: 'assistant' }),
    chunk({ content: THROTTLE }, null, { base_resp: { status_code: 0, status_msg: 'success' } }),
    chunk({}, 'stop'),
    chunk({}, null, { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } }),
  ],
  error: [chunk({ role: 'assistant' }), { error: { message: 'Overloaded', code: 'x' } }],
}

let server: Server
let origin: string

beforeAll(async () => {
  server = createServer((incoming, response) => {
    const chunks = Reflect.get(STREAMS, incoming.url?.split('/')[1] ?? '')
    if (!Array.isArray(chunks)) throw new Error(`no stream for ${incoming.url}`)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const data of chunks) response.write(`data: ${JSON.stringify(data)}\n\n`)
    response.end('data: [DONE]\n\n')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  origin = `http://127.0.0.1:${address.port}`
})

afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const stream = { ...request, stream: true as const }

describe.each([
  {
    version: 'v7',
    open: async (baseURL: string): Promise<AsyncIterable<unknown>> =>
      new OpenAI({ apiKey: 'test', baseURL, maxRetries: 0 }).chat.completions.create(stream),
  },
  {
    version: 'v6',
    open: async (baseURL: string): Promise<AsyncIterable<unknown>> =>
      new OpenAIv6({ apiKey: 'test', baseURL, maxRetries: 0 }).chat.completions.create(stream),
  },
])('a stream read with openai $version', ({ open }) => {
  /** What the first chunk that is a failure says, or what was thrown. */
  const failureIn = async (name: keyof typeof STREAMS) => {
    try {
      for await (const data of await open(`${origin}/${name}`)) {
        const found = classifyErrorChunk(data)
        if (found !== undefined) return found
      }
      return undefined
    } catch (error) {
      return classifyError(error)
    }
  }

  it.each([
    ['content', { kind: 'rate_limit', retryable: true }],
    ['finish', { kind: 'server_error', retryable: true }],
    ['choice', { kind: 'overloaded', retryable: true }],
    ['deepseek', { kind: 'overloaded', retryable: true }],
    ['minimax', { kind: 'rate_limit', retryable: true }],
    ['error', { kind: 'overloaded', retryable: true }],
  ] as const)('knows a failure in its %s', async (name, expected) => {
    expect(await failureIn(name)).toMatchObject({ ...expected, executed: 'maybe' })
  })

  it('takes nothing that a model writes for a failure', async () => {
    expect(await failureIn('good')).toBeUndefined()
  })
})

describe('a completion', () => {
  const completion = (content: string, finish_reason: string) => ({
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason }],
  })

  it('is a failure when its finish_reason says so, whatever was written before', () => {
    const written = '{"error":{"code":"insufficient_quota"}}'
    expect(classifyErrorChunk(completion(written, 'error'))).toMatchObject({
      kind: 'server_error',
      retryable: true,
    })
    expect(classifyErrorChunk(completion(written, 'error_finish'))).toMatchObject({
      kind: 'quota_exhausted',
      retryable: false,
      code: 'insufficient_quota',
    })
  })

  it.each(['stop', 'length', 'content_filter', 'tool_calls', '__proto__', 'constructor'])(
    'is none for finish_reason %s',
    (reason) => {
      expect(classifyErrorChunk(completion(THROTTLE, reason))).toBeUndefined()
    },
  )

  it.each([undefined, null, '', 0, 'text', [], {}, { choices: [] }, { choices: null }])(
    'is none where nothing is said: %j',
    (value) => {
      expect(classifyErrorChunk(value)).toBeUndefined()
    },
  )
})
