import OpenAI from 'openai'
import { describe, expect, it, onTestFinished } from 'vitest'
import { classifyError } from '../../../src/index.ts'
import {
  dripping,
  endlessBody,
  type Fault,
  type FaultServerOptions,
  type RateLimit,
  rateLimited,
  slowFirstByte,
  startFaultServer,
  streamErrorEvent,
  virtualClock,
} from '../../../src/testing/index.ts'
import { question, rejection } from './clients.ts'

async function start(fault: Fault, options: FaultServerOptions = {}) {
  const server = await startFaultServer({ script: [fault], ...options })
  onTestFinished(() => server.close())
  const client = new OpenAI({ apiKey: 'test', baseURL: server.baseURL, maxRetries: 0 })
  return { server, client }
}

/** The raw answer to one request. */
async function raw(fault: Fault, stream = false, options: FaultServerOptions = {}) {
  const { server } = await start(fault, options)
  const controller = new AbortController()
  onTestFinished(() => controller.abort())
  const response = await fetch(`${server.baseURL}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...question, stream }),
    signal: controller.signal,
  })
  return { server, response }
}

describe('rateLimited gives its hint', () => {
  it.each<[string, RateLimit, number]>([
    ['in whole seconds', { retryAfterMs: 2_000 }, 2_000],
    ['in milliseconds', { retryAfterMs: 1_250 }, 1_250],
    ['as a date', { retryAfterMs: 7_000, header: 'retry-after-date' }, 7_000],
    [
      'as a date by a clock that is an hour fast',
      { retryAfterMs: 7_000, header: 'retry-after-date', clockSkewMs: 3_600_000 },
      7_000,
    ],
    [
      'as a date by a clock that is a day slow',
      { retryAfterMs: 7_000, header: 'retry-after-date', clockSkewMs: -86_400_000 },
      7_000,
    ],
    [
      'as the reset of the empty bucket',
      { retryAfterMs: 360_000, header: 'x-ratelimit-reset' },
      360_000,
    ],
    ['as a short reset', { retryAfterMs: 20, header: 'x-ratelimit-reset' }, 20],
    ['in the body’s retry_after', { retryAfterMs: 3_000, field: 'retry_after', text: 'no' }, 3_000],
    ['in estimated_time', { retryAfterMs: 20_500, field: 'estimated_time', text: 'no' }, 20_500],
    ['in RetryInfo', { retryAfterMs: 38_000, field: 'retryDelay', text: 'no' }, 38_000],
    ['in the text alone', { retryAfterMs: 9_800, header: 'none' }, 9_800],
    ['in the text as minutes', { retryAfterMs: 360_000, header: 'none' }, 360_000],
    ['in a text of its own', { text: 'Please retry after 38 seconds.' }, 38_000],
  ])('%s, as it is understood', async (_, limit, hintMs) => {
    const { client } = await start(rateLimited(limit))
    const { error } = await rejection(client.chat.completions.create(question))
    expect(classifyError(error)).toMatchObject({ kind: 'rate_limit', retryAfterMs: hintMs })
  })

  it('of one bucket, beside another that is not empty', async () => {
    const fault = rateLimited({ retryAfterMs: 1_000, header: 'x-ratelimit-reset' })
    const { response } = await raw(fault)
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('0')
    expect(response.headers.get('x-ratelimit-reset-requests')).toBe('1s')
    expect(response.headers.get('x-ratelimit-remaining-tokens')).not.toBe('0')
    expect(response.headers.get('retry-after')).toBeNull()
  })
})

describe('slowFirstByte', () => {
  it.each([false, true])(
    'sends headers at once and the body later (stream: %s)',
    async (stream) => {
      const clock = virtualClock()
      const { response } = await raw(slowFirstByte(5_000), stream, { clock })
      expect(response.status).toBe(200)
      let text: string | undefined
      const read = response.text().then((body) => {
        text = body
      })
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(text).toBeUndefined()
      await clock.advance(5_000)
      await read
      expect(text).toContain('choices')
      expect(clock.pending).toBe(0)
    },
  )
})

describe('dripping', () => {
  it('sends the whole answer, a character at a time', async () => {
    const { client } = await start(dripping(0), { answer: 'Hi.' })
    const completion = await client.chat.completions.create(question)
    expect(completion.choices[0]?.message.content).toBe('Hi.')
  })
})

describe('endlessBody', () => {
  it.each([
    ['blanks', endlessBody(), false],
    ['chunks', endlessBody(), true],
    ['comments', endlessBody({ stream: 'comments' }), true],
    ['an error', endlessBody({ status: 500 }), false],
  ])('goes on with %s until the server closes, and leaves nothing', async (_, fault, stream) => {
    const clock = virtualClock()
    const { server, response } = await raw(fault, stream, { clock })
    const reader = response.body?.getReader()
    let bytes = 0
    for (let part = 0; part < 5; part += 1) {
      const read = reader?.read()
      await clock.advance(1)
      bytes += (await read)?.value?.byteLength ?? 0
    }
    expect(bytes).toBeGreaterThan(50)
    await server.close()
    expect(clock.pending).toBe(0)
  })
})

describe('streamErrorEvent', () => {
  it.each(['data', 'event', 'finish-reason', 'content'] as const)(
    'sends its form %s after the text',
    async (form) => {
      const { response } = await raw(streamErrorEvent({ form }), true)
      const events = (await response.text()).trim().split('\n\n')
      expect(events.length).toBeGreaterThan(1)
      expect(events.at(-1)).toContain('error')
      expect(events.at(-1)?.startsWith('event: error')).toBe(form === 'event')
    },
  )
})
