import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { HeliconeManualLogger } from '@helicone/helpers'
import OpenAI from 'openai'
import { callReport } from 'steadycall'
import { insufficientQuota, overloaded } from 'steadycall/testing'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { ask, rejection, setUpWith, streamed, textOf } from './promises.ts'

async function setUp(plan: Parameters<typeof setUpWith>[1]) {
  const logged: unknown[] = []
  const sink = createServer((request, response) => {
    let body = ''
    request.on('data', (piece) => {
      body += piece
    })
    request.on('end', () => {
      logged.push(JSON.parse(body))
      response.end('{}')
    })
  })
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void sink.close())
  const { port } = sink.address() as AddressInfo
  const logger = new HeliconeManualLogger({
    apiKey: 'sk-helicone',
    loggingEndpoint: `http://127.0.0.1:${port}`,
  })
  return { ...(await setUpWith((options) => new OpenAI(options), plan)), logger, logged }
}

describe("Helicone's logger around create()", () => {
  it('logs the call once, however many attempts it took', async () => {
    const { llm, server, logger, logged } = await setUp({
      answer: 'hello',
      perCall: [overloaded()],
    })
    const answer = await logger.logRequest(ask, async (recorder) => {
      const made = await llm.chat.completions.create(ask)
      recorder.appendResults({ ...made })
      return made
    })
    expect(callReport(answer)?.attempts).toHaveLength(2)
    expect(server.count).toBe(2)
    await vi.waitFor(() => expect(logged).toHaveLength(1))
    expect(JSON.stringify(logged)).toContain('hello')
  })

  it('logs a stream that it is given, and leaves the rest to its reader', async () => {
    const { llm, server, logger, logged } = await setUp({
      answer: 'hello',
      perCall: [overloaded()],
    })
    const stream = await llm.chat.completions.create(streamed)
    const [own, theirs] = stream.tee()
    await logger.logStream(streamed, async (recorder) => {
      recorder.attachStream(theirs.toReadableStream())
    })
    expect(await textOf(own)).toBe('hello')
    expect(server.count).toBe(2)
    await vi.waitFor(() => expect(logged).toHaveLength(1))
    expect(JSON.stringify(logged)).toContain('hello')
  })

  it('leaves errors and their report as they are', async () => {
    const { llm, logger } = await setUp({ script: [insufficientQuota()] })
    const error = await rejection(logger.logRequest(ask, () => llm.chat.completions.create(ask)))
    expect(error).toBeInstanceOf(OpenAI.RateLimitError)
    expect(callReport(error)?.outcome).toBe('quota_exhausted')
  })
})
