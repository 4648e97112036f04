import { createServer } from 'node:http'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { callReport, createRuntime, memoryStore, steady } from '../../src/index.ts'
import { DONE, event, role, stop, text } from '../support/event-streams.ts'
import { originOf } from '../support/origin.ts'
import { ask, rejection } from '../support/set-up.ts'

const hello = [role, text('Hel'), text('lo'), stop, DONE]

/** A provider that answers with these streams in turn, the last one for ever. */
async function setUp(...streams: (readonly string[])[]) {
  let requests = 0
  const server = createServer((request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.end(streams[Math.min(requests++, streams.length - 1)]?.join(''))
  })
  const origin = await originOf(server)
  const client = new OpenAI({
    apiKey: 'k',
    baseURL: `${origin}/v1`,
    logLevel: 'off',
  })
  const runtime = createRuntime({ random: () => 0 })
  const llm = steady(client, { store: memoryStore(), runtime })
  return { llm, requests: () => requests }
}

const streamed = { ...ask('go on'), stream: true } as const
const key = { steady: { idempotencyKey: 'k' } }

async function textOf(stream: AsyncIterable<OpenAI.Chat.ChatCompletionChunk>): Promise<string> {
  let whole = ''
  for await (const { choices } of stream) whole += choices?.[0]?.delta.content ?? ''
  return whole
}

const failures = [
  { fault: { faultstring: 'no word that is known' } },
  { Message: 'no word that is known' },
  { err: 'no word that is known' },
  { success: false, code: 200 },
  { status: 'failed', usage: { prompt_tokens: 1 } },
]

const pings = [
  {},
  { type: 'ping', message: 'keep-alive' },
  { usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } },
  { comment: 'PROCESSING' },
  { choices: [], prompt_filter_results: [] },
]

describe.each(failures)('a failure in a stream by any name, %j', (failure) => {
  it('is tried again before content, and what was whole is kept', async () => {
    const { llm, requests } = await setUp([role, event(failure), DONE], hello)
    const stream = await llm.chat.completions.create(streamed, key)
    expect(await textOf(stream)).toBe('Hello')
    expect(callReport(stream)?.attempts.map(({ outcome }) => outcome)).toEqual([
      'empty_response',
      'success',
    ])
    expect(await textOf(await llm.chat.completions.create(streamed, key))).toBe('Hello')
    expect(requests()).toBe(2)
  })

  it('is thrown behind content, and nothing of it is kept', async () => {
    const { llm, requests } = await setUp([role, text('Hel'), event(failure), stop, DONE], hello)
    const error = await rejection(
      llm.chat.completions.create(streamed, key).then((stream) => textOf(stream)),
    )
    expect(error).toBeInstanceOf(OpenAI.APIError)
    expect(callReport(error)).toMatchObject({ outcome: 'empty_response', reason: 'delivered' })
    expect(await textOf(await llm.chat.completions.create(streamed, key))).toBe('Hello')
    expect(requests()).toBe(2)
  })

  it('ends the stream helper, too', async () => {
    const { llm } = await setUp([role, text('Hel'), event(failure), stop, DONE])
    const error = await rejection(llm.chat.completions.stream(ask('hi')).finalChatCompletion())
    expect(error).toBeInstanceOf(OpenAI.OpenAIError)
    expect(callReport(error)).toMatchObject({ outcome: 'empty_response' })
  })
})

describe.each(pings)('what is no failure, %j', (ping) => {
  it('is delivered as it came, kept and replayed', async () => {
    const body = [event(ping), role, text('Hel'), event(ping), text('lo'), stop, event(ping), DONE]
    const { llm, requests } = await setUp(body)
    const chunksOf = async () => {
      const chunks: unknown[] = []
      for await (const chunk of await llm.chat.completions.create(streamed, key)) chunks.push(chunk)
      return chunks
    }
    const first = await chunksOf()
    expect(first).toHaveLength(7)
    expect(first[0]).toEqual(ping)
    expect(await chunksOf()).toEqual(first)
    expect(requests()).toBe(1)
  })
})
