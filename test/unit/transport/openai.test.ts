import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import OpenAI from 'openai'
import OpenAI6 from 'openai-v6'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { callReport, createRuntime, steady } from '../../../src/index.ts'
import {
  type FaultServerOptions,
  httpError,
  overloaded,
  stalledStream,
  startFaultServer,
} from '../../../src/testing/index.ts'
import { directFetch } from '../../../src/transport/direct-fetch.ts'
import { originOf } from '../../support/origin.ts'

const ask = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }

async function provider(plan: FaultServerOptions) {
  const server = await startFaultServer(plan)
  onTestFinished(() => server.close())
  return server
}

/** Answers uploads with what arrived, and speech with bytes. */
async function fileServer(): Promise<{ baseURL: string; received: string[] }> {
  const received: string[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      received.push(Buffer.concat(chunks).toString('latin1'))
      if (request.url?.endsWith('/audio/speech')) {
        response.writeHead(200, { 'content-type': 'audio/mpeg' })
        response.end(Buffer.alloc(100_000, 7))
        return
      }
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end('{"id":"file-1","object":"file"}')
    })
  })
  return { baseURL: `${await originOf(server)}/v1`, received }
}

// The classes differ in private fields only.
describe.each([
  ['openai 7', OpenAI],
  ['openai 6', OpenAI6 as unknown as typeof OpenAI],
])('%s over directFetch()', (_name, Client) => {
  const clientOf = (baseURL: string, more: object = {}) =>
    new Client({ apiKey: 'test', baseURL, fetch: directFetch(), maxRetries: 0, ...more })

  it('creates a completion', async () => {
    const { baseURL } = await provider({ answer: 'hello' })
    const completion = await clientOf(baseURL).chat.completions.create(ask)
    expect(completion.choices[0]?.message.content).toBe('hello')
  })

  it('hands out the response with its data', async () => {
    const { baseURL } = await provider({ answer: 'hello' })
    const pending = clientOf(baseURL).chat.completions.create(ask)
    const { data, response } = await pending.withResponse()
    expect(data.choices[0]?.message.content).toBe('hello')
    expect(response).toBeInstanceOf(Response)
    expect(response.headers.get('content-type')).toMatch(/^application\/json/)
    expect(response.url).toBe(`${baseURL}/chat/completions`)
  })

  it('streams, to the end and to a reader', async () => {
    const { baseURL } = await provider({ answer: 'hello there' })
    const stream = await clientOf(baseURL).chat.completions.create({ ...ask, stream: true })
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    expect(text).toBe('hello there')
    const second = await clientOf(baseURL).chat.completions.create({ ...ask, stream: true })
    expect(await new Response(second.toReadableStream()).text()).toContain('"finish_reason":"stop"')
  })

  it('ends the request of a stream that is left', async () => {
    const server = await provider({ script: [stalledStream({ afterChunks: 2 })] })
    const stream = await clientOf(server.baseURL).chat.completions.create({ ...ask, stream: true })
    for await (const _ of stream) break
    await vi.waitFor(() => expect(server.requests[0]?.aborted).toBe(true))
  })

  it('ends the request of a stream that is aborted', async () => {
    const server = await provider({ script: [stalledStream({ afterChunks: 2 })] })
    const stream = await clientOf(server.baseURL).chat.completions.create({ ...ask, stream: true })
    for await (const _ of stream) stream.controller.abort()
    await vi.waitFor(() => expect(server.requests[0]?.aborted).toBe(true))
  })

  it('throws the class of a refusal, with its body and headers', async () => {
    const { baseURL } = await provider({
      script: [httpError(400, { error: { message: 'no such model' } })],
    })
    const error = await clientOf(baseURL)
      .chat.completions.create(ask)
      .catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(Client.BadRequestError)
    expect(error).toMatchObject({ status: 400, message: expect.stringContaining('no such model') })
  })

  it('throws its own abort, and its own time-out', async () => {
    const controller = new AbortController()
    const silent = createServer(() => undefined)
    await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      silent.closeAllConnections()
      silent.close()
    })
    // An `AddressInfo` for a server that listens on a port.
    const { port } = silent.address() as AddressInfo
    const client = clientOf(`http://127.0.0.1:${port}/v1`)
    const aborted = client.chat.completions.create(ask, { signal: controller.signal })
    controller.abort()
    await expect(aborted).rejects.toBeInstanceOf(Client.APIUserAbortError)
    const late = client.chat.completions.create(ask, { timeout: 20 })
    await expect(late).rejects.toBeInstanceOf(Client.APIConnectionTimeoutError)
  })

  it('uploads a file and a stream, and downloads speech', async () => {
    const { baseURL, received } = await fileServer()
    const client = clientOf(baseURL)
    const file = new File(['line one\n'], 'lines.jsonl')
    const made = await client.files.create({ file, purpose: 'batch' })
    expect(made.id).toBe('file-1')
    expect(received[0]).toContain('line one')
    await client.files.create({ file: new Response('of a stream'), purpose: 'batch' } as never)
    expect(received[1]).toContain('of a stream')
    const speech = await client.audio.speech.create({ model: 'm', voice: 'alloy', input: 'hi' })
    expect((await speech.arrayBuffer()).byteLength).toBe(100_000)
    const second = await client.audio.speech.create({ model: 'm', voice: 'alloy', input: 'hi' })
    let length = 0
    for await (const chunk of second.body ?? []) length += chunk.byteLength
    expect(length).toBe(100_000)
  })

  it('is retried, reported and counted by steadycall as Node’s fetch is', async () => {
    const server = await provider({ answer: 'hello', script: [overloaded()] })
    const llm = steady(clientOf(server.baseURL, { maxRetries: 2 }), { runtime: createRuntime() })
    const completion = await llm.chat.completions.create(ask)
    expect(completion.choices[0]?.message.content).toBe('hello')
    expect(callReport(completion)?.attempts.map(({ outcome }) => outcome)).toEqual([
      'overloaded',
      'success',
    ])
    expect(callReport(completion)?.attempts.map(({ wireRequests }) => wireRequests)).toEqual([1, 1])
    const stream = await llm.chat.completions.create({ ...ask, stream: true })
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    expect(text).toBe('hello')
  })
})
