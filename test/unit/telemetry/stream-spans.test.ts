import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type CallEvent, callReport, steady } from '../../../src/index.ts'
import {
  cutStream,
  type Fault,
  malformedEvent,
  stalledStream,
  streamErrorEvent,
} from '../../../src/testing/index.ts'
import { patientRuntime, setUp } from '../../support/set-up.ts'
import { type Chunks, chunksOf, heldStream, keyed, sentence } from '../../support/streams.ts'
import { type Recorder, startRecording } from './recorder.ts'

let recorder: Recorder
beforeEach(() => {
  recorder = startRecording()
})
afterEach(() => recorder.stop())

const calls = () => recorder.spans().filter(({ name }) => name === 'chat gpt-test')
const attempts = () => recorder.spans().filter(({ name }) => name === 'attempt gpt-test')

describe('the spans of a stream under a key', () => {
  it.each<[string, Fault[], (stream: Stream, caller: AbortController) => Promise<unknown>, object]>(
    [
      ['read to its end', [], (stream) => chunksOf(stream), { 'steadycall.source': 'provider' }],
      ['cut', [cutStream({ afterChunks: 2 })], fails, { 'error.type': 'network' }],
      ['ended by an error', [streamErrorEvent()], fails, { 'error.type': 'server_error' }],
      ['garbled', [malformedEvent({ afterChunks: 2 })], fails, { 'error.type': 'server_error' }],
      ['stalled', [stalledStream({ afterChunks: 2 })], fails, { 'error.type': 'timeout' }],
      ['left', [stalledStream({ afterChunks: 2 })], leave, { 'steadycall.source': 'provider' }],
      ['aborted', [stalledStream({ afterChunks: 2 })], abort, { 'steadycall.outcome': 'aborted' }],
      [
        'aborted by its own controller',
        [stalledStream({ afterChunks: 2 })],
        abortItself,
        { 'steadycall.source': 'provider' },
      ],
      ['never read', [], async () => {}, { 'steadycall.source': 'provider' }],
    ],
  )('end, once, with one event that says so: %s', async (_, script, use, attributes) => {
    const { client } = await setUp({ ...sentence, script })
    const settled: CallEvent[] = []
    const onEvent = (event: CallEvent) => {
      if (event.type === 'call-settled') settled.push(event)
    }
    const llm = steady(client, { runtime: patientRuntime(), onEvent })
    const caller = new AbortController()
    const stream = await keyed(llm, { chunkIdleTimeoutMs: 200 }, caller.signal)
    // What openai cannot parse it prints.
    const printed = vi.spyOn(console, 'error').mockImplementation(() => {})
    await use(stream, caller)
    printed.mockRestore()
    await vi.waitUntil(() => calls().length > 0)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(calls()).toMatchObject([{ attributes }])
    expect(attempts()).toHaveLength(1)
    expect(settled).toMatchObject([{ report: { ...callReport(stream) } }])
  })

  it('are one without attempts and without usage, for a replay and for one who joined', async () => {
    const { fault, go } = heldStream(2)
    const { llm } = await setUp({ ...sentence, perCall: [fault] })
    const owned = await keyed(llm)
    const joiner = keyed(llm)
    go()
    await chunksOf(owned)
    await chunksOf(joiner)
    await chunksOf(keyed(llm))
    const sources = calls().map(({ attributes }) => attributes['steadycall.source'])
    expect(sources.toSorted()).toEqual(['provider', 'shared', 'store'])
    for (const { attributes } of calls()) {
      const isPaid = attributes['steadycall.source'] === 'provider'
      expect(attributes['gen_ai.usage.output_tokens'] !== undefined).toBe(isPaid)
    }
    expect(attempts()).toHaveLength(1)
  })
})

type Stream = Chunks & { readonly controller: AbortController }

async function abortItself(stream: Stream): Promise<void> {
  for await (const _ of stream) stream.controller.abort()
}

async function fails(stream: Chunks): Promise<void> {
  await expect(chunksOf(stream)).rejects.toThrow()
}

async function leave(stream: Chunks): Promise<void> {
  for await (const _ of stream) break
}

async function abort(stream: Chunks, caller: AbortController): Promise<void> {
  caller.abort()
  await fails(stream)
}
