import pRetry from 'p-retry'
import { describe, expect, it } from 'vitest'
import { callReport } from '../../src/index.ts'
import {
  cutStream,
  cutStreamBeforeContent,
  errorBodyUnder200,
  insufficientQuota,
  rateLimited,
  serverError,
  stalledStream,
} from '../../src/testing/index.ts'
import { systemClock } from '../../src/time.ts'
import { ask, rejection, setUp } from '../support/set-up.ts'

// The same fault, the same server, the real client of npm: bare with its defaults, and wrapped.
const always = <T>(fault: T) => Array.from({ length: 12 }, () => fault)
const streamed = { ...ask('go on'), stream: true } as const
const answer = 'an answer that is long enough for some pieces'

async function textOf(stream: AsyncIterable<{ choices: { delta: { content?: unknown } }[] }>) {
  let text = ''
  for await (const { choices } of stream) text += choices[0]?.delta.content ?? ''
  return text
}

describe('the bare client, and the same one wrapped', () => {
  it('a spent quota: requested 3 times, and once', async () => {
    const { server, client, llm } = await setUp({ perCall: always(insufficientQuota()) })
    await rejection(client.chat.completions.create(ask('bare')))
    expect(server.count).toBe(3)
    const error = await rejection(llm.chat.completions.create(ask('wrapped')))
    expect(server.count).toBe(4)
    expect(callReport(error)).toMatchObject({ outcome: 'quota_exhausted' })
  })

  it('Retry-After: 120: asked again within seconds, and not at all, with the hint on the error', async () => {
    const { server, client, llm } = await setUp({
      perCall: always(rateLimited({ retryAfterMs: 120_000 })),
    })
    const startedMs = performance.now()
    await rejection(client.chat.completions.create(ask('bare')))
    expect(server.count).toBe(3)
    expect(performance.now() - startedMs).toBeLessThan(120_000)
    const error = await rejection(llm.chat.completions.create(ask('wrapped')))
    expect(server.count).toBe(4)
    expect(callReport(error)).toMatchObject({
      outcome: 'rate_limit',
      reason: 'hint_exceeds_wait',
      attempts: [{ retryAfterMs: 120_000 }],
    })
  })

  it('Retry-After: 1: both wait for it', async () => {
    const fault = rateLimited({ retryAfterMs: 1_000 })
    // The bare client's clock is the real one, so it has to be the server's.
    const clock = systemClock
    const { server, client, llm } = await setUp({ perCall: [fault], clock })
    await Promise.all([
      client.chat.completions.create(ask('bare')),
      llm.chat.completions.create(ask('wrapped')),
    ])
    for (const callId of new Set(server.requests.map((request) => request.callId))) {
      const [first, second] = server.requestsFor(callId)
      expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(1_000)
    }
  })

  it('a stream that is cut: ends as if it were whole, and with an error', async () => {
    const { server, client, llm } = await setUp({
      answer,
      perCall: always(cutStream({ afterChunks: 2 })),
    })
    const cut = await textOf(await client.chat.completions.create(streamed))
    expect(answer.startsWith(cut) && cut !== answer).toBe(true)
    const error = await rejection(llm.chat.completions.create(streamed).then(textOf))
    expect(callReport(error)).toMatchObject({ outcome: 'network', reason: 'delivered' })
    expect(server.count).toBe(2)
  })

  it('a stream that is cut before its first text: an empty answer, and the answer', async () => {
    const { client, llm } = await setUp({
      answer,
      script: [cutStreamBeforeContent(), cutStreamBeforeContent()],
    })
    expect(await textOf(await client.chat.completions.create(streamed))).toBe('')
    expect(await textOf(await llm.chat.completions.create(streamed))).toBe(answer)
  })

  it('a stream that stalls: hangs beyond the timeout, and ends by the idle limit', async () => {
    const { client, llm } = await setUp(
      { answer, perCall: always(stalledStream({ afterChunks: 1 })) },
      { chunkIdleTimeoutMs: 100 },
      // A try of the bare client's that has no headers by then is made again.
      { timeout: 500, maxRetries: 9 },
    )
    const bare = await client.chat.completions.create(streamed)
    const waited = new Promise((resolve) => setTimeout(() => resolve('still waiting'), 1_500))
    const reading = textOf(bare).catch((stopped: unknown) => stopped)
    expect(await Promise.race([reading, waited])).toBe('still waiting')
    bare.controller.abort()
    await reading
    const error = await rejection(llm.chat.completions.create(streamed).then(textOf))
    expect(callReport(error)).toMatchObject({ outcome: 'timeout' })
  })

  it('an error under status 200: a success without choices, and an error that is retried', async () => {
    const { server, client, llm } = await setUp({ perCall: [errorBodyUnder200()] })
    const bare = await client.chat.completions.create(ask('bare'))
    expect(bare.choices).toBeUndefined()
    const completion = await llm.chat.completions.create(ask('wrapped'))
    expect(completion.choices).toHaveLength(1)
    expect(callReport(completion)?.attempts.map(({ outcome }) => outcome)).toEqual([
      'server_error',
      'success',
    ])
    expect(server.count).toBe(3)
  })

  it("a loop of three around it: 9 requests, and 3 under onMultipliedRetries: 'throw'", async () => {
    const { server, client, llm } = await setUp(
      { perCall: always(serverError()) },
      { onMultipliedRetries: 'throw' },
    )
    const loop = { retries: 2, minTimeout: 0, shouldRetry: () => true }
    await rejection(pRetry(() => client.chat.completions.create(ask('bare')), loop))
    expect(server.count).toBe(9)
    await rejection(pRetry(() => llm.chat.completions.create(ask('wrapped')), loop))
    expect(server.count).toBe(12)
  })
})
