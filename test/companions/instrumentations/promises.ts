import type OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { callReport, createRuntime, type SteadyClient, steady } from 'steadycall'
import {
  answers,
  cutStream,
  type FaultServer,
  type FaultServerOptions,
  hangs,
  insufficientQuota,
  overloaded,
  stalledStream,
  startFaultServer,
} from 'steadycall/testing'
import { expect, it, onTestFinished, vi } from 'vitest'
import { z } from 'zod'

export type ClientOf = (options: { apiKey: string; baseURL: string }) => OpenAI

export const ask = { model: 'gpt-test', messages: [{ role: 'user' as const, content: 'hi' }] }
export const streamed = { ...ask, stream: true as const }

/** A real server, and a traced client of it that is wrapped. */
export async function setUpWith(
  clientOf: ClientOf,
  plan: FaultServerOptions,
): Promise<{ server: FaultServer; llm: SteadyClient<OpenAI> }> {
  const server = await startFaultServer(plan)
  onTestFinished(() => server.close())
  const client = clientOf({ apiKey: 'sk-test', baseURL: server.baseURL })
  const runtime = createRuntime({ random: () => 0 })
  return { server, llm: steady(client, { runtime, limits: 'off' }) }
}

/** What a tracer does not do, also around the bare client: nothing is asked of it then. */
export interface Without {
  /** It binds `parse` and `stream` to the client inside. */
  readonly helpers?: boolean
  /** It drops what is given to `create` besides the body. */
  readonly options?: boolean
}

/** What has to hold for a client, whoever traces it. */
export function keepsItsPromises(
  clientOf: ClientOf,
  Classes: typeof OpenAI,
  { helpers: noHelpers = false, options: noOptions = false }: Without = {},
): void {
  const setUp = (plan: FaultServerOptions = {}) => setUpWith(clientOf, plan)

  it('retries create() at one layer, and says so', async () => {
    const { llm, server } = await setUp({ answer: 'hello', perCall: [overloaded()] })
    const answer = await llm.chat.completions.create(ask)
    expect(answer.choices[0]?.message.content).toBe('hello')
    expect(server.count).toBe(2)
    expect(callReport(answer)?.attempts).toMatchObject([
      { outcome: 'overloaded', status: 503, wireRequests: 1 },
      { outcome: 'success', status: 200, wireRequests: 1 },
    ])
  })

  it("throws openai's own classes", async () => {
    const { llm, server } = await setUp({ script: [insufficientQuota(), hangs()] })
    const refused = await rejection(llm.chat.completions.create(ask))
    expect(refused).toBeInstanceOf(Classes.RateLimitError)
    expect(server.count).toBe(1)
    const late = { timeout: 60, steady: { maxAttempts: 1 } }
    const error = await rejection(llm.chat.completions.create(ask, late))
    expect(error).toBeInstanceOf(Classes.APIConnectionTimeoutError)
    const gone = { signal: AbortSignal.abort(new Error('left')) }
    const aborted = await rejection(llm.chat.completions.create(ask, gone))
    expect(aborted).toBeInstanceOf(Classes.APIUserAbortError)
  })

  it('asks again for JSON', async () => {
    const { llm, server } = await setUp({ script: [answers('{"a":"one"}'), answers('{"a":1}')] })
    const schema = z.object({ a: z.number() })
    const { value } = await llm.json({ ...ask, schema })
    expect(value).toEqual({ a: 1 })
    expect(server.count).toBe(2)
  })

  if (!noOptions)
    it('gives the response beside the data', async () => {
      const { llm } = await setUp({ answer: 'hello' })
      const { data, response } = await llm.chat.completions.create(ask).withResponse()
      expect(data.choices[0]?.message.content).toBe('hello')
      expect(response.headers.get('x-request-id')).toMatch(/./)
    })

  it('streams, retried until the first content', async () => {
    const { llm, server } = await setUp({ answer: 'hello', perCall: [overloaded()] })
    const stream = await llm.chat.completions.create(streamed)
    expect(await textOf(stream)).toBe('hello')
    expect(server.count).toBe(2)
    expect(callReport(stream)?.attempts).toMatchObject([{ status: 503 }, { status: 200 }])
    const [left, right] = (await llm.chat.completions.create(streamed)).tee()
    expect(await Promise.all([textOf(left), textOf(right)])).toEqual(['hello', 'hello'])
  })

  it('closes the connection of a stream that is left', async () => {
    const { llm, server } = await setUp({ script: [stalledStream({ afterChunks: 2 })] })
    for await (const _ of await llm.chat.completions.create(streamed)) break
    await vi.waitFor(() => expect(server.requests[0]?.aborted).toBe(true))
  })

  it('ends a stream by its controller and by a signal', async () => {
    const { llm } = await setUp({
      script: [stalledStream({ afterChunks: 2 }), stalledStream({ afterChunks: 2 })],
    })
    const own = await llm.chat.completions.create(streamed)
    setTimeout(() => own.controller.abort(), 10)
    await textOf(own)
    const leaving = new AbortController()
    const stream = await llm.chat.completions.create(streamed, { signal: leaving.signal })
    setTimeout(() => leaving.abort(), 10)
    expect(await rejection(textOf(stream))).toBeInstanceOf(Classes.APIUserAbortError)
  })

  it('says of a cut stream that it was cut', async () => {
    const { llm } = await setUp({ answer: 'hello there', script: [cutStream({ afterChunks: 2 })] })
    const error = await rejection(textOf(await llm.chat.completions.create(streamed)))
    expect(error).toBeInstanceOf(Classes.APIConnectionError)
    expect(callReport(error)?.outcome).toBe('network')
  })

  it('leaves no rejection to nobody', async () => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    const { llm } = await setUp({ script: Array.from({ length: 4 }, () => hangs()) })
    for (const params of [ask, streamed]) {
      await rejection(llm.chat.completions.create(params, { signal: AbortSignal.abort() }))
      const late = { timeout: 30, steady: { maxAttempts: 1 } }
      await rejection(llm.chat.completions.create(params, late))
    }
    await new Promise((resolve) => setTimeout(resolve, 30))
    process.off('unhandledRejection', unhandled)
    expect(unhandled.mock.calls).toEqual([])
  })

  if (!noHelpers)
    it("has openai's helpers go through it", async () => {
      const { llm, server } = await setUp({ answer: '{"a":1}', perCall: [overloaded()] })
      const response_format = zodResponseFormat(z.object({ a: z.number() }), 'answer')
      const parsed = await llm.chat.completions.parse({ ...ask, response_format })
      expect(parsed.choices[0]?.message.parsed).toEqual({ a: 1 })
      expect(callReport(parsed)?.attempts).toHaveLength(2)
      server.reset({ perCall: [overloaded()] })
      const whole = await llm.chat.completions.stream(ask).finalChatCompletion()
      expect(whole.choices[0]?.message.content).toBe('{"a":1}')
      expect(callReport(whole)?.attempts).toHaveLength(2)
    })

  it('replays what is kept under a key', async () => {
    const { llm, server } = await setUp({ answer: 'hello' })
    const options = { steady: { idempotencyKey: 'k' } }
    expect(await textOf(await llm.chat.completions.create(streamed, options))).toBe('hello')
    expect(await textOf(await llm.chat.completions.create(streamed, options))).toBe('hello')
    expect(server.count).toBe(1)
  })
}

export async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('expected a rejection')
}

export async function textOf(
  stream: AsyncIterable<OpenAI.Chat.ChatCompletionChunk>,
): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  return text
}
