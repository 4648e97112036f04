import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { callReport } from '../../../src/index.ts'
import {
  cutStream,
  hangs,
  overloaded,
  stalledStream,
  streamErrorEvent,
} from '../../../src/testing/index.ts'
import { rejection, setUp } from '../../support/set-up.ts'
import {
  chunksOf,
  heldStream,
  keyed,
  sentence,
  textIn,
  twoProcesses,
} from '../../support/streams.ts'

describe('a stream that did not end well is never kept', () => {
  it.each(Array.from({ length: 9 }, (_, pieces) => pieces))(
    'cut after %i pieces of text',
    async (afterChunks) => {
      const { llm, elsewhere, server } = await twoProcesses(
        { ...sentence, script: [cutStream({ afterChunks })] },
        { maxAttempts: 1 },
      )
      await expect(rejection(chunksOf(keyed(llm)))).resolves.toBeInstanceOf(
        OpenAI.APIConnectionError,
      )
      const again = await keyed(elsewhere)
      expect(textIn(await chunksOf(again))).toBe(sentence.answer)
      expect(callReport(again)).toMatchObject({ source: 'provider', persisted: true })
      expect(server.count).toBe(2)
    },
  )

  it.each([
    ['silence', stalledStream({ afterChunks: 2 })],
    ['a reset', heldStreamThatIsReset()],
    ['an error event', streamErrorEvent({ afterChunks: 2 })],
    ['an error as a finish reason', streamErrorEvent({ afterChunks: 2, form: 'finish-reason' })],
  ])('%s', async (_, fault) => {
    const { llm, server } = await setUp(
      { ...sentence, script: [fault] },
      { chunkIdleTimeoutMs: 60 },
    )
    const stream = await keyed(llm)
    await rejection(chunksOf(stream))
    expect(callReport(stream)).toMatchObject({ persisted: false, reason: 'delivered' })
    expect(textIn(await chunksOf(keyed(llm)))).toBe(sentence.answer)
    expect(server.count).toBe(2)
  })

  it('a retry before the first content is made as ever, and its stream is kept', async () => {
    const { llm, server } = await setUp(
      { ...sentence, perCall: [overloaded(), hangs()] },
      {
        firstChunkTimeoutMs: 100,
      },
    )
    const stream = await keyed(llm)
    expect(textIn(await chunksOf(stream))).toBe(sentence.answer)
    expect(callReport(stream)?.attempts).toHaveLength(3)
    expect(callReport(await keyed(llm))).toMatchObject({ source: 'store' })
    expect(server.count).toBe(3)
  })
})

describe("a stream under onUncertain: 'fail'", () => {
  it.each(['cut', 'break'] as const)('is not run again after a %s', async (how) => {
    const fault = how === 'cut' ? cutStream({ afterChunks: 2 }) : stalledStream({ afterChunks: 2 })
    const { llm, elsewhere, server } = await twoProcesses(
      { ...sentence, script: [fault] },
      { onUncertain: 'fail' },
    )
    const stream = await keyed(llm)
    const joiner = how === 'cut' ? rejection(keyed(llm)) : undefined
    if (how === 'cut') await rejection(chunksOf(stream))
    else for await (const _ of stream) break
    if (joiner !== undefined) {
      expect(callReport(await joiner)).toMatchObject({ outcome: 'outcome_unknown' })
    }
    for (const other of [llm, elsewhere]) {
      const error = await rejection(keyed(other))
      expect(callReport(error)).toMatchObject({ outcome: 'outcome_unknown' })
    }
    expect(server.count).toBe(1)
  })

  it('is kept like any other when it is whole', async () => {
    const { llm, server } = await setUp(sentence, { onUncertain: 'fail' })
    await chunksOf(keyed(llm))
    await chunksOf(keyed(llm))
    expect(server.count).toBe(1)
  })
})

function heldStreamThatIsReset() {
  const { fault, go } = heldStream(2, 'cut')
  go()
  return fault
}
