import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import OpenAI from 'openai'
import type { Stream } from 'openai/streaming'
import { describe, expect, it, vi } from 'vitest'
import { callReport, type SteadyOptions } from '../../../src/index.ts'
import {
  cutStream,
  type Fault,
  stalledStream,
  streamErrorEvent,
} from '../../../src/testing/index.ts'
import { role, stop, text } from '../../support/event-streams.ts'
import { passed } from '../../support/patient-clock.ts'
import { rejection, setUp } from '../../support/set-up.ts'
import {
  type Chunk,
  chunksOf,
  heldStream,
  keyed,
  sentence,
  streamed,
  textIn,
  twoProcesses,
} from '../../support/streams.ts'

/** One choice from its beginning to its end; the other never comes. */
const firstOfTwo: Fault = {
  name: 'firstOfTwo',
  async apply(exchange) {
    exchange.begin()
    for (const piece of [role, text('all of it'), stop]) await exchange.write(piece)
    await new Promise((resolve) => exchange.signal.addEventListener('abort', resolve))
  },
}

describe('those who want a stream that is under way', () => {
  it('wait for its end and replay it, while its owner reads it as it comes', async () => {
    const { fault, go } = heldStream(3)
    const { llm, elsewhere, server } = await twoProcesses({ ...sentence, perCall: [fault] })
    const owned = await keyed(llm)
    const live = owned[Symbol.asyncIterator]()
    const first = [await live.next(), await live.next(), await live.next()].map(
      ({ value }) => value,
    )
    expect(textIn(first)).toBe(sentence.answer.slice(0, 16))
    let early = 0
    const others = [keyed(llm), keyed(llm), keyed(elsewhere)].map((other) =>
      other.finally(() => {
        early += 1
      }),
    )
    await new Promise((resolve) => setTimeout(resolve, 120))
    expect(early).toBe(0)
    go()
    const rest: Chunk[] = []
    for (let next = await live.next(); !next.done; next = await live.next()) rest.push(next.value)
    const whole = [...first, ...rest]
    expect(textIn(whole)).toBe(sentence.answer)
    const sources = []
    for (const other of others) {
      const stream = await other
      await expect(chunksOf(stream)).resolves.toEqual(whole)
      sources.push(callReport(stream)?.source)
    }
    expect(sources).toEqual(['shared', 'shared', 'store'])
    expect(callReport(owned)).toMatchObject({ source: 'provider', persisted: true })
    expect(server.count).toBe(1)
  })

  it('do not wait for an owner who does not read', async () => {
    const { llm, elsewhere, server } = await twoProcesses(sentence)
    const owned = await keyed(llm)
    for (const other of [llm, elsewhere]) {
      expect(textIn(await chunksOf(keyed(other)))).toBe(sentence.answer)
    }
    expect(callReport(owned)).toMatchObject({ persisted: true, outcome: 'success' })
    expect(textIn(await chunksOf(owned))).toBe(sentence.answer)
    expect(server.count).toBe(1)
  })

  it('do not wait for themselves, where the owner asks for his own key in the middle', async () => {
    const { llm, server } = await setUp(sentence)
    let inner: Chunk[] | undefined
    const outer = []
    for await (const chunk of await keyed(llm)) {
      inner ??= await chunksOf(keyed(llm))
      outer.push(chunk)
    }
    expect(inner).toEqual(outer)
    expect(server.count).toBe(1)
  })

  it('are a hundred and cause one request', async () => {
    const { fault, go } = heldStream(1)
    const { llm, server } = await setUp({ ...sentence, perCall: [fault] })
    const all = Array.from({ length: 100 }, () => chunksOf(keyed(llm)))
    await vi.waitUntil(() => server.count === 1)
    go()
    const texts = new Set((await Promise.all(all)).map(textIn))
    expect([...texts]).toEqual([sentence.answer])
    expect(server.count).toBe(1)
  })

  it.each([
    ['a cut', cutStream({ afterChunks: 3 }), 'network', OpenAI.APIConnectionError],
    ['an error event', streamErrorEvent({ afterChunks: 3 }), 'server_error', OpenAI.APIError],
  ])('share the failure of its owner: %s', async (_, fault, kind, errorClass) => {
    const held = heldStream(0)
    const plan = { ...sentence, script: [fault] }
    const { llm, elsewhere, server } = await twoProcesses(plan)
    const owned = await keyed(llm)
    const others = [llm, elsewhere].map((other) => rejection(chunksOf(keyed(other))))
    const own = await rejection(chunksOf(owned))
    held.go()
    expect(own).toBeInstanceOf(errorClass)
    expect(callReport(own)).toMatchObject({
      outcome: kind,
      source: 'provider',
      reason: 'delivered',
    })
    for (const error of await Promise.all(others)) {
      expect(error).toBeInstanceOf(errorClass)
      expect(callReport(error)).toMatchObject({ outcome: kind, source: 'shared' })
    }
    expect(server.count).toBe(1)
  })

  it('are bound by their own deadline and signal, and disturb nobody when they leave', async () => {
    const { fault, go } = heldStream(2)
    const { llm, server } = await setUp({ ...sentence, perCall: [fault] })
    const owned = await keyed(llm)
    const caller = new AbortController()
    const late = rejection(keyed(llm, { deadlineMs: 300 }))
    const leaving = rejection(keyed(llm, {}, caller.signal))
    caller.abort()
    await expect(leaving).resolves.toBeInstanceOf(OpenAI.APIUserAbortError)
    await expect(late).resolves.toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
    go()
    expect(textIn(await chunksOf(owned))).toBe(sentence.answer)
    expect(server.count).toBe(1)
  })
})

describe('a flight of a stream belongs to nobody', () => {
  const begin = async (options: SteadyOptions = {}) => {
    const held = heldStream(2)
    const { llm, server } = await setUp({ ...sentence, perCall: [held.fault] }, options)
    const caller = new AbortController()
    const stream = await keyed(llm, {}, caller.signal)
    const joiner = chunksOf(keyed(llm))
    return { llm, server, caller, stream, joiner, go: held.go }
  }

  it.each(Object.entries(LEAVING))(
    'it goes on when its owner leaves while somebody waits, and is kept: %s',
    async (how, leave) => {
      const { llm, server, caller, stream, joiner, go } = await begin()
      await leave(stream, caller)
      await new Promise((resolve) => setTimeout(resolve, 10))
      expect(server.requests[0]?.aborted).toBe(false)
      // He does not know what it cost in the end.
      expect(callReport(stream)).toMatchObject({
        outcome: how.startsWith('abort') ? 'aborted' : 'success',
        persisted: false,
        usage: { complete: false },
      })
      go()
      expect(textIn(await joiner)).toBe(sentence.answer)
      const again = await keyed(llm)
      expect(callReport(again)).toMatchObject({ source: 'store' })
      expect(server.count).toBe(1)
    },
  )

  it.each(Object.entries(LEAVING))(
    'when nobody is left, the request is aborted and the key is free: %s',
    async (_, leave) => {
      const { llm, server } = await setUp({
        ...sentence,
        perCall: [stalledStream({ afterChunks: 2 })],
      })
      const caller = new AbortController()
      const stream = await keyed(llm, {}, caller.signal)
      await leave(stream, caller)
      await vi.waitUntil(() => server.requests[0]?.aborted)
      const again = await keyed(llm)
      expect(textIn(await chunksOf(again))).toBe(sentence.answer)
      expect(callReport(again)).toMatchObject({ source: 'provider', persisted: true })
      expect(server.count).toBe(2)
    },
  )

  it.each(['abort', 'deadline'] as const)('the last may be one who joined: by %s', async (how) => {
    const { llm, server } = await setUp({
      ...sentence,
      perCall: [stalledStream({ afterChunks: 2 })],
    })
    const stream = await keyed(llm)
    const caller = new AbortController()
    const last = rejection(keyed(llm, how === 'deadline' ? { deadlineMs: 300 } : {}, caller.signal))
    for await (const _ of stream) break
    expect(server.requests[0]?.aborted).toBe(false)
    if (how === 'abort') caller.abort()
    await last
    await vi.waitUntil(() => server.requests[0]?.aborted)
    expect(textIn(await chunksOf(keyed(llm)))).toBe(sentence.answer)
    expect(server.count).toBe(2)
  })

  it('the report of a reader who just left, alone, is complete when his loop is', async () => {
    const { llm } = await setUp({ ...sentence, perCall: [stalledStream({ afterChunks: 2 })] })
    const stream = await keyed(llm)
    for await (const _ of stream) break
    expect(callReport(stream)).toMatchObject({
      outcome: 'success',
      persisted: false,
      attempts: [{ outcome: 'success' }],
    })
  })

  it('who leaves after the finish_reason has had the whole answer: it is kept', async () => {
    const { llm, server } = await setUp(sentence)
    const stream = await keyed(llm)
    for await (const { choices } of stream) if (choices[0]?.finish_reason) break
    await vi.waitUntil(() => callReport(stream)?.persisted)
    const again = await keyed(llm)
    expect(callReport(again)).toMatchObject({ source: 'store' })
    await expect(chunksOf(again)).resolves.toHaveLength(11)
    expect(server.count).toBe(1)
  })

  it('who leaves when one of two choices has ended has not had the whole answer: its request ends', async () => {
    const { llm, server } = await setUp({ ...sentence, perCall: [firstOfTwo] })
    const stream = await llm.chat.completions.create(
      { ...streamed, n: 2 },
      { steady: { idempotencyKey: 'k' } },
    )
    for await (const { choices } of stream) if (choices[0]?.finish_reason) break
    expect(callReport(stream)).toMatchObject({
      outcome: 'success',
      persisted: false,
      attempts: [{ outcome: 'success' }],
    })
    await vi.waitUntil(() => server.requests[0]?.aborted)
  })

  it('an owner who is out of time before the first content leaves it to the others', async () => {
    const { fault, go } = heldStream(0)
    const { llm, server } = await setUp({ ...sentence, perCall: [fault] })
    const owner = rejection(keyed(llm, { deadlineMs: 300 }))
    await vi.waitUntil(() => server.count === 1)
    const joiner = chunksOf(keyed(llm))
    await expect(owner).resolves.toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
    go()
    expect(textIn(await joiner)).toBe(sentence.answer)
    expect(server.count).toBe(1)
  })

  it('its owner is under no deadline once his stream has begun', async () => {
    const { fault, go } = heldStream(1)
    const { llm } = await setUp({ ...sentence, perCall: [fault] })
    const stream = await keyed(llm, { deadlineMs: 300 })
    await passed(400)
    go()
    expect(textIn(await chunksOf(stream))).toBe(sentence.answer)
    expect(callReport(stream)).toMatchObject({ persisted: true })
  })

  it('a stream thrown away unread leaves it, when it is garbage', async () => {
    const { llm, server } = await setUp({
      ...sentence,
      perCall: [stalledStream({ afterChunks: 1 })],
    })
    await (async () => {
      await keyed(llm)
    })()
    await vi.waitUntil(() => {
      collectGarbage()
      return server.requests[0]?.aborted
    })
    expect(textIn(await chunksOf(keyed(llm)))).toBe(sentence.answer)
    expect(server.count).toBe(2)
  })
})

/** How the reader of a stream may leave it, while it waits for a chunk or between two. */
const LEAVING: Readonly<
  Record<string, (stream: Stream<Chunk>, caller: AbortController) => Promise<unknown>>
> = {
  async break(stream) {
    for await (const _ of stream) break
  },
  async 'abort of the signal while it waits'(stream, caller) {
    const reading = rejection(chunksOf(stream))
    await new Promise((resolve) => setTimeout(resolve, 10))
    caller.abort()
    await expect(reading).resolves.toBeInstanceOf(OpenAI.APIUserAbortError)
  },
  async 'abort of the signal before it reads'(stream, caller) {
    caller.abort()
    await expect(rejection(chunksOf(stream))).resolves.toBeInstanceOf(OpenAI.APIUserAbortError)
  },
  async 'its own controller while it waits'(stream) {
    const reading = chunksOf(stream)
    await new Promise((resolve) => setTimeout(resolve, 10))
    stream.controller.abort()
    await reading
  },
  async 'its own controller between two'(stream) {
    await stream[Symbol.asyncIterator]().next()
    stream.controller.abort()
  },
  async 'return of an iterator before its first read'(stream) {
    await stream[Symbol.asyncIterator]().return?.()
  },
  async 'return of an iterator while it waits'(stream) {
    const chunks = stream[Symbol.asyncIterator]()
    const rest = drain(chunks)
    await new Promise((resolve) => setTimeout(resolve, 10))
    await chunks.return?.()
    await rest
  },
  async 'cancel of its readable stream'(stream) {
    await stream.toReadableStream().cancel()
  },
  async 'both branches of a tee'(stream) {
    const [left, right] = stream.tee()
    for (const branch of [left, right]) for await (const _ of branch) break
  },
}

async function drain(chunks: AsyncIterator<unknown>): Promise<void> {
  while (!(await chunks.next()).done);
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  collect()
}
