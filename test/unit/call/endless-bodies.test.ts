import { describe, expect, it, vi } from 'vitest'
import { callReport } from '../../../src/index.ts'
import {
  dripping,
  endlessBody,
  type FaultServer,
  hangs,
  slowFirstByte,
} from '../../../src/testing/index.ts'
import { ask, person, rejection, setUp } from '../../support/set-up.ts'

const limits = { attemptTimeoutMs: 60, maxAttempts: 1, chunkIdleTimeoutMs: 50 }
const streamed = { ...ask('go on'), stream: true } as const

describe('an attempt ends by its own limit, and its connection with it', () => {
  it.each([
    ['headers that never come', hangs()],
    ['a body that comes too late', slowFirstByte(60_000)],
    ['a body that drips', dripping(5)],
    ['blanks without end', endlessBody()],
  ])('%s', async (_, fault) => {
    const { server, llm } = await setUp({ script: [fault, fault] }, limits)
    const error = await rejection(llm.chat.completions.create(ask('one')))
    expect(callReport(error)).toMatchObject({ outcome: 'timeout' })
    expect(await rejection(llm.json({ ...ask('two'), schema: person }))).toMatchObject({
      kind: 'timeout',
      executed: 'maybe',
    })
    await gone(server)
  })

  it('an error whose body has no end: it has its status, and what came is enough', async () => {
    const { server, llm } = await setUp(
      { script: [endlessBody({ status: 500, everyMs: 0 })] },
      { maxAttempts: 1 },
    )
    const error = await rejection(llm.chat.completions.create(ask('one')))
    expect(callReport(error)).toMatchObject({ outcome: 'server_error' })
    await gone(server)
  })

  it('an error whose body trickles without end is cut by the attempt’s limit', async () => {
    const { server, llm } = await setUp(
      { script: [endlessBody({ status: 500, everyMs: 20 })] },
      limits,
    )
    const error = await rejection(llm.chat.completions.create(ask('one')))
    expect(['server_error', 'timeout']).toContain(callReport(error)?.outcome)
    await gone(server)
  })
})

describe('a stream', () => {
  it('of comments without content ends by its first-chunk limit', async () => {
    const { server, llm } = await setUp(
      { script: [endlessBody({ stream: 'comments' })] },
      { firstChunkTimeoutMs: 60, maxAttempts: 1 },
    )
    const error = await rejection(llm.chat.completions.create(streamed))
    expect(callReport(error)).toMatchObject({ outcome: 'timeout' })
    await gone(server)
  })

  it('without end goes on for as long as somebody reads, and ends with him', async () => {
    const { server, llm } = await setUp({ script: [endlessBody()] }, limits)
    const stream = await llm.chat.completions.create(streamed)
    let chunks = 0
    for await (const _ of stream) if (++chunks === 50) break
    expect(callReport(stream)).toMatchObject({ outcome: 'success' })
    await gone(server)
  })

  it('whose first content comes too late is retried', async () => {
    const { server, llm } = await setUp(
      { script: [slowFirstByte(60_000)] },
      { firstChunkTimeoutMs: 60 },
    )
    const stream = await llm.chat.completions.create(streamed)
    for await (const _ of stream);
    expect(server.count).toBe(2)
    expect(callReport(stream)?.attempts.map(({ outcome }) => outcome)).toEqual([
      'timeout',
      'success',
    ])
  })
})

/** The client has given up every connection. */
async function gone(server: FaultServer): Promise<void> {
  await vi.waitFor(() => expect(server.requests.map(({ aborted }) => aborted)).not.toContain(false))
}
