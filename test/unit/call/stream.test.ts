import { getEventListeners } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import OpenAI from 'openai'
import type { Stream } from 'openai/core/streaming'
import { describe, expect, it, vi } from 'vitest'
import { callReport, createRuntime, steady } from '../../../src/index.ts'
import {
  cutStream,
  cutStreamBeforeContent,
  type Fault,
  hangs,
  overloaded,
  stalledStream,
  streamErrorEvent,
} from '../../../src/testing/index.ts'
import { passed } from '../../support/patient-clock.ts'
import { ask, clientFor, rejection, setUp, startServer } from '../../support/set-up.ts'

const long = { answer: 'a long answer, sent in many small pieces, one after the other' }
const streamed = { ...ask('go on'), stream: true } as const

async function textOf(stream: AsyncIterable<OpenAI.Chat.ChatCompletionChunk>): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  return text
}

describe('a streamed call', () => {
  it('gives the same chunks in the same order as openai, in a stream of the same class', async () => {
    const { client, llm } = await setUp(long)
    const chunksOf = async (from: OpenAI) => {
      const stream = await from.chat.completions.create({
        ...streamed,
        stream_options: { include_usage: true },
      })
      const chunks = []
      for await (const chunk of stream) chunks.push({ ...chunk, id: '', created: 0 })
      return { chunks, constructor: stream.constructor }
    }
    const ours = await chunksOf(llm)
    expect(ours).toEqual(await chunksOf(client))
    expect(ours.chunks.length).toBeGreaterThan(5)
  })

  it.each([
    ['an error before the stream', overloaded()],
    ['a stream cut before its first content', cutStreamBeforeContent()],
    ['an error event before the first content', streamErrorEvent({ afterChunks: 0 })],
  ])('retries %s', async (_, fault) => {
    const { llm, server } = await setUp({ ...long, perCall: [fault] })
    const stream = await llm.chat.completions.create(streamed)
    await expect(textOf(stream)).resolves.toBe(long.answer)
    expect(server.count).toBe(2)
    expect(callReport(stream)?.attempts).toHaveLength(2)
  })

  it.each([
    ['no answer at all', hangs()],
    ['silence before the first content', stalledStream({ afterChunks: 0 })],
  ])('retries %s after firstChunkTimeoutMs', async (_, fault) => {
    const { llm, server } = await setUp({ ...long, perCall: [fault] }, { firstChunkTimeoutMs: 80 })
    const stream = await llm.chat.completions.create(streamed)
    await expect(textOf(stream)).resolves.toBe(long.answer)
    expect(server.count).toBe(2)
  })

  it('cut after its first content fails, where openai ends as if it were complete', async () => {
    const bareServer = await startServer({ ...long, perCall: [cutStream({ afterChunks: 2 })] })
    const bare = await clientFor(bareServer).chat.completions.create(streamed)
    await expect(textOf(bare)).resolves.toBe(long.answer.slice(0, 16))

    const { llm, server } = await setUp({ ...long, perCall: [cutStream({ afterChunks: 2 })] })
    const stream = await llm.chat.completions.create(streamed)
    const error = await rejection(textOf(stream))
    expect(error).toBeInstanceOf(OpenAI.APIConnectionError)
    expect(server.count).toBe(1)
    expect(callReport(stream)).toMatchObject({ outcome: 'network', reason: 'delivered' })
  })

  it('gone silent fails after chunkIdleTimeoutMs, where openai waits on', async () => {
    const { llm } = await setUp(
      { ...long, perCall: [stalledStream({ afterChunks: 2 })] },
      { chunkIdleTimeoutMs: 80 },
    )
    const stream = await llm.chat.completions.create(streamed)
    const error = await rejection(textOf(stream))
    expect(error).toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
  })

  it('counts the idle time only while the caller waits for a chunk', async () => {
    const { llm } = await setUp(long, { chunkIdleTimeoutMs: 60 })
    const stream = await llm.chat.completions.create(streamed)
    let chunks = 0
    for await (const _ of stream) {
      if (chunks++ === 1) await passed(150)
    }
    expect(chunks).toBeGreaterThan(5)
  })

  it('that meets an error event in the middle throws it', async () => {
    const { llm } = await setUp({ ...long, perCall: [streamErrorEvent({ afterChunks: 2 })] })
    const stream = await llm.chat.completions.create(streamed)
    const error = await rejection(textOf(stream))
    expect(error).toBeInstanceOf(OpenAI.APIError)
  })

  it('left by break closes its connection', async () => {
    const { llm, server } = await setUp({ ...long, perCall: [stalledStream({ afterChunks: 2 })] })
    const stream = await llm.chat.completions.create(streamed)
    for await (const _ of stream) break
    while (!server.requests[0]?.aborted) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(callReport(stream)).toMatchObject({ outcome: 'success' })
  })

  it("ended by its own controller ends silently, as openai's does", async () => {
    const { llm } = await setUp({ ...long, perCall: [stalledStream({ afterChunks: 2 })] })
    const stream = await llm.chat.completions.create(streamed)
    let chunks = 0
    for await (const _ of stream) {
      chunks++
      if (chunks === 2) setTimeout(() => stream.controller.abort(), 20)
    }
    expect(chunks).toBeGreaterThanOrEqual(2)
  })

  it("ended by the caller's signal throws APIUserAbortError", async () => {
    const { llm } = await setUp({ ...long, perCall: [stalledStream({ afterChunks: 2 })] })
    const controller = new AbortController()
    const stream = await llm.chat.completions.create(streamed, { signal: controller.signal })
    setTimeout(() => controller.abort(), 30)
    await expect(rejection(textOf(stream))).resolves.toBeInstanceOf(OpenAI.APIUserAbortError)
  })

  it('is not bound by the deadline once its first content has come', async () => {
    const { llm } = await setUp(long)
    const stream = await llm.chat.completions.create(streamed, { steady: { deadlineMs: 300 } })
    const chunks = stream[Symbol.asyncIterator]()
    await chunks.next()
    await passed(350)
    let left = 0
    while (!(await chunks.next()).done) left++
    expect(left).toBeGreaterThan(3)
  })

  it('can be teed, and turned into a readable stream', async () => {
    const { llm } = await setUp(long)
    const [left, right] = (await llm.chat.completions.create(streamed)).tee()
    await expect(Promise.all([textOf(left), textOf(right)])).resolves.toEqual([
      long.answer,
      long.answer,
    ])
    const readable = (await llm.chat.completions.create(streamed)).toReadableStream()
    const text = await new Response(readable).text()
    expect(text).toContain('"finish_reason":"stop"')
  })

  it('counts its usage in the report when the request asks for it', async () => {
    const { llm } = await setUp(long)
    const stream = await llm.chat.completions.create({
      ...streamed,
      stream_options: { include_usage: true },
    })
    await textOf(stream)
    expect(callReport(stream)?.usage.outputTokens).toBeGreaterThan(0)
  })

  it('gives withResponse() its head', async () => {
    const { llm } = await setUp(long)
    const { data, response } = await llm.chat.completions.create(streamed).withResponse()
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    await expect(textOf(data)).resolves.toBe(long.answer)
  })
})

describe('a stream that is over', () => {
  // Node keeps a composed signal, as that of openai's controller is, alive while somebody listens.
  it.each(['read', 'left', 'aborted'])('is held by nothing of ours: %s', async (how) => {
    const { llm, client } = await setUp(long)
    const listenersAfter = async ({ chat }: Pick<OpenAI, 'chat'>) => {
      const stream = await chat.completions.create(streamed)
      for await (const _ of stream) {
        if (how === 'left') break
        if (how === 'aborted') stream.controller.abort()
      }
      return getEventListeners(stream.controller.signal, 'abort').length
    }
    expect(await listenersAfter(llm)).toBe(await listenersAfter(client))
  })
})

describe('a stream that nobody waits for at the moment', () => {
  const endless = { answer: 'on and on '.repeat(10_000) }
  const begin = async (signal?: AbortSignal) => {
    const { llm, server } = await setUp(endless, { limits: { concurrency: 1 } })
    const stream = await llm.chat.completions.create(streamed, { signal })
    const chunks = stream[Symbol.asyncIterator]()
    const isOver = async () => {
      await vi.waitUntil(() => server.requests[0]?.aborted)
      expect(llm.targets()).toMatchObject([{ inFlight: 0, waiting: 0 }])
    }
    return { stream, chunks, isOver }
  }

  it('is over when the caller aborts, and the next read throws an error with its report', async () => {
    const caller = new AbortController()
    const { stream, chunks, isOver } = await begin(caller.signal)
    await chunks.next()
    caller.abort()
    await isOver()
    expect(callReport(stream)).toMatchObject({ outcome: 'aborted', reason: 'delivered' })
    const error = await rejection(drain(chunks))
    expect(error).toBeInstanceOf(OpenAI.APIUserAbortError)
    expect(callReport(error)).toBe(callReport(stream))
  })

  it('is over when its own controller aborts, and the next read ends silently', async () => {
    const { stream, chunks, isOver } = await begin()
    await chunks.next()
    stream.controller.abort()
    await isOver()
    expect(callReport(stream)).toMatchObject({ outcome: 'success' })
    await drain(chunks)
  })

  it('is over when the reader of its readable stream has stopped and the caller aborts', async () => {
    const caller = new AbortController()
    const { stream, isOver } = await begin(caller.signal)
    await stream.toReadableStream().getReader().read()
    await new Promise((resolve) => setTimeout(resolve, 20))
    caller.abort()
    await isOver()
  })

  it('is over when its readable stream is cancelled unread', async () => {
    const { stream, isOver } = await begin()
    await stream.toReadableStream().cancel()
    await isOver()
  })

  it('is over when an iterator is returned before its first read, or between two', async () => {
    for (const reads of [0, 1]) {
      const { chunks, isOver } = await begin()
      for (let read = 0; read < reads; read += 1) await chunks.next()
      await chunks.return?.()
      await isOver()
    }
  })

  it('is over when an iterator is returned while it waits for a chunk', async () => {
    const { llm } = await setUp(
      { script: [stalledStream({ afterChunks: 1 })] },
      { limits: { concurrency: 1 } },
    )
    const stream = await llm.chat.completions.create(streamed)
    const chunks = stream[Symbol.asyncIterator]()
    const rest = drain(chunks)
    await new Promise((resolve) => setTimeout(resolve, 20))
    await chunks.return?.()
    await rest
    expect(llm.targets()).toMatchObject([{ inFlight: 0 }])
    expect(callReport(stream)).toMatchObject({ outcome: 'success' })
  })
})

describe('a stream with more than one who could read it', () => {
  it('is given up by the return of an iterator: another one is refused, not given a part', async () => {
    const { llm } = await setUp(long)
    const stream = await llm.chat.completions.create(streamed)
    await stream[Symbol.asyncIterator]().return?.()
    await expect(rejection(textOf(stream))).resolves.toBeInstanceOf(TypeError)
  })

  it('is over when an iterator is thrown into before its first read', async () => {
    const { llm } = await setUp(
      { answer: 'on and on '.repeat(10_000) },
      { limits: { concurrency: 1 } },
    )
    const stream = await llm.chat.completions.create(streamed)
    const chunks = stream[Symbol.asyncIterator]()
    await rejection(chunks.throw?.(new Error('mine')) ?? Promise.resolve())
    await vi.waitUntil(() => llm.targets()[0]?.inFlight === 0)
  })

  it('goes on while somebody holds the function that its iterators come from', async () => {
    const { llm } = await setUp(long)
    const again = await (async () => {
      const stream = await llm.chat.completions.create(streamed)
      const StreamClass = stream.constructor as typeof Stream
      return new StreamClass(Reflect.get(stream, 'iterator'), stream.controller)
    })()
    for (let turn = 0; turn < 5; turn += 1) {
      collectGarbage()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await expect(textOf(again as AsyncIterable<OpenAI.Chat.ChatCompletionChunk>)).resolves.toBe(
      long.answer,
    )
  })
})

describe('a stream that is aborted after its finish_reason', () => {
  it('is complete: the loop ends, and the report says so', async () => {
    const { llm } = await setUp(long)
    const caller = new AbortController()
    const stream = await llm.chat.completions.create(streamed, { signal: caller.signal })
    let text = ''
    for await (const { choices } of stream) {
      text += choices[0]?.delta.content ?? ''
      if (choices[0]?.finish_reason) caller.abort()
    }
    expect(text).toBe(long.answer)
    expect(callReport(stream)).toMatchObject({ outcome: 'success' })
  })
})

describe('a stream that fails before its first content', () => {
  it('closes the connection of that attempt', async () => {
    const errorThenSilence: Fault = {
      name: 'errorThenSilence',
      async apply(exchange) {
        const choice = { index: 0, delta: {}, finish_reason: 'error', error: { code: 502 } }
        exchange.begin()
        await exchange.write(`data: ${JSON.stringify({ choices: [choice] })}\n\n`)
      },
    }
    const { llm, server } = await setUp({ ...long, perCall: [errorThenSilence] })
    await textOf(await llm.chat.completions.create(streamed))
    expect(server.count).toBe(2)
    await vi.waitUntil(() => server.requests[0]?.aborted)
  })
})

describe('a long stream', () => {
  it('keeps none of the chunks that were read', async () => {
    const body = () => {
      let left = 20_000
      const pull = (controller: ReadableStreamDefaultController) => {
        left -= 1
        const end = left === 0
        const choices = [
          {
            index: 0,
            delta: end ? {} : { content: `word ${left}` },
            finish_reason: end ? 'stop' : null,
          },
        ]
        controller.enqueue(new TextEncoder().encode(`data: ${JSON.stringify({ choices })}\n\n`))
        if (end) controller.close()
      }
      return new ReadableStream({ pull })
    }
    const fetch = async () =>
      new Response(body(), { headers: { 'content-type': 'text/event-stream' } })
    const client = new OpenAI({ apiKey: 'k', baseURL: 'http://localhost/v1', fetch })
    const stream = await steady(client, { runtime: createRuntime() }).chat.completions.create(
      streamed,
    )
    let read = 0
    let beforeBytes = 0
    let afterBytes = 0
    for await (const _ of stream) {
      read += 1
      if (read === 1_000) beforeBytes = heapInUse()
      if (read === 19_000) afterBytes = heapInUse()
    }
    expect(read).toBe(20_000)
    // One of them has some hundreds.
    expect((afterBytes - beforeBytes) / 18_000).toBeLessThan(60)
  })
})

describe('a stream that is thrown away unread', () => {
  it('is ended when it is garbage: connection, place and report', async () => {
    const { llm, server } = await setUp(
      { script: [stalledStream({ afterChunks: 1 })] },
      { limits: { concurrency: 1 } },
    )
    await (async () => {
      await llm.chat.completions.create({ ...ask('one'), stream: true })
    })()
    expect(llm.targets()).toMatchObject([{ inFlight: 1 }])
    await vi.waitUntil(() => {
      collectGarbage()
      return llm.targets()[0]?.inFlight === 0
    })
    expect(llm.targets()).toMatchObject([{ inFlight: 0, waiting: 0 }])
    expect(server.count).toBe(1)
    await llm.chat.completions.create(ask('two'))
  })

  it('goes on while somebody holds an iterator of it', async () => {
    const { llm } = await setUp({}, { limits: { concurrency: 1 } })
    const iterator = await (async () => {
      const stream = await llm.chat.completions.create({ ...ask('one'), stream: true })
      return stream[Symbol.asyncIterator]()
    })()
    for (let turn = 0; turn < 5; turn += 1) {
      collectGarbage()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    let chunks = 0
    while (!(await iterator.next()).done) chunks += 1
    expect(chunks).toBeGreaterThan(1)
  })

  it('is ended when the iterator that read some of it is garbage', async () => {
    const { llm } = await setUp(
      { answer: 'on and on '.repeat(10_000) },
      { limits: { concurrency: 1 } },
    )
    await (async () => {
      const stream = await llm.chat.completions.create(streamed)
      await stream[Symbol.asyncIterator]().next()
    })()
    await vi.waitUntil(() => {
      collectGarbage()
      return llm.targets()[0]?.inFlight === 0
    })
  })

  it('goes on when an iterator is garbage that never read', async () => {
    const { llm } = await setUp(long)
    const stream = await llm.chat.completions.create(streamed)
    ;(() => stream[Symbol.asyncIterator]())()
    for (let turn = 0; turn < 5; turn += 1) {
      collectGarbage()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await expect(textOf(stream)).resolves.toBe(long.answer)
  })
})

async function drain(chunks: AsyncIterator<unknown>): Promise<void> {
  while (!(await chunks.next()).done);
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  collect()
}

function heapInUse(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}
