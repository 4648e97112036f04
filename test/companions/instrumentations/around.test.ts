import { observeOpenAI } from '@langfuse/openai'
import * as Sentry from '@sentry/node'
import { wrapOpenAI as braintrust } from 'braintrust'
import { wrapOpenAI as langsmith } from 'langsmith/wrappers'
import OpenAI from 'openai'
import { callReport, createRuntime, type SteadyClient, steady } from 'steadycall'
import {
  type FaultServerOptions,
  insufficientQuota,
  overloaded,
  stalledStream,
} from 'steadycall/testing'
import { describe, expect, it, vi } from 'vitest'
import { wrapOpenAI as weave } from 'weave'
import { z } from 'zod'
import './langsmith-environment.ts'
import { ask, rejection, setUpWith, streamed, textOf } from './promises.ts'

Sentry.init({ dsn: 'http://key@127.0.0.1:9/1', tracesSampleRate: 1, defaultIntegrations: false })

type Trace = (client: SteadyClient<OpenAI>) => SteadyClient<OpenAI>

describe.each([
  ['Langfuse', observeOpenAI as Trace],
  ['Sentry', Sentry.instrumentOpenAiClient as Trace],
  ['Braintrust', braintrust as Trace],
  ['LangSmith', langsmith as Trace],
  ['Weave', weave as unknown as Trace],
])('%s around steady(client)', (_name, trace) => {
  async function setUp(plan: FaultServerOptions) {
    const { llm, server } = await setUpWith((options) => new OpenAI(options), plan)
    return { server, llm: trace(llm) }
  }

  it('leaves the retries and the report of create() as they are', async () => {
    const { llm, server } = await setUp({ answer: 'hello', perCall: [overloaded()] })
    const answer = await llm.chat.completions.create(ask)
    expect(answer.choices[0]?.message.content).toBe('hello')
    expect(server.count).toBe(2)
    expect(callReport(answer)?.attempts).toHaveLength(2)
  })

  it('leaves streams as they are', async () => {
    const { llm, server } = await setUp({ answer: 'hello', perCall: [overloaded()] })
    expect(await textOf(await llm.chat.completions.create(streamed))).toBe('hello')
    expect(server.count).toBe(2)
  })

  it('leaves the connection of a stream that is left closed', async () => {
    const { llm, server } = await setUp({ script: [stalledStream({ afterChunks: 2 })] })
    for await (const _ of await llm.chat.completions.create(streamed)) break
    await vi.waitFor(() => expect(server.requests[0]?.aborted).toBe(true))
  })

  it('leaves errors and their report as they are', async () => {
    const { llm } = await setUp({ script: [insufficientQuota()] })
    const error = await rejection(llm.chat.completions.create(ask))
    expect(error).toBeInstanceOf(OpenAI.RateLimitError)
    expect(callReport(error)?.outcome).toBe('quota_exhausted')
  })

  it('leaves json() and the other methods where they are', async () => {
    const { llm } = await setUp({ answer: '{"a":1}' })
    const { value } = await llm.json({ ...ask, schema: z.object({ a: z.number() }) })
    expect(value).toEqual({ a: 1 })
    expect(await llm.run('one', () => 1)).toBe(1)
    expect(llm.targets()).toHaveLength(2)
  })

  it('may be wrapped once more', async () => {
    const { llm, server } = await setUp({ answer: 'hello', perCall: [overloaded(), overloaded()] })
    const runtime = createRuntime({ random: () => 0 })
    const answer = await steady(llm, {
      runtime,
      limits: { concurrency: 1 },
    }).chat.completions.create(ask)
    expect(answer.choices[0]?.message.content).toBe('hello')
    expect(server.count).toBe(3)
  })
})
