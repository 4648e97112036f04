import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import OpenAI6 from 'openai-v6'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { z } from 'zod'
import { callReport, createRuntime, type SteadyClient, steady } from '../../../src/index.ts'
import {
  answers,
  callsTool,
  cutStream,
  type FaultServer,
  type FaultServerOptions,
  insufficientQuota,
  overloaded,
  stalledStream,
} from '../../../src/testing/index.ts'
import { ask, rejection, startServer } from '../../support/set-up.ts'

const person = z.object({ name: z.string() })
const format = zodResponseFormat(person, 'person')

describe.each([
  ['openai 7', OpenAI],
  // The two majors differ in types only where this test does not look.
  ['openai 6', OpenAI6 as unknown as typeof OpenAI],
])('the report of what the helpers of %s make', (_, Client) => {
  async function setUp(
    plan: FaultServerOptions,
  ): Promise<{ llm: SteadyClient<OpenAI>; server: FaultServer }> {
    const server = await startServer(plan)
    const client = new Client({ apiKey: 'sk-test', baseURL: server.baseURL })
    const runtime = createRuntime({ random: () => 0 })
    return { llm: steady(client, { runtime }), server }
  }

  const twoAttempts = {
    outcome: 'success',
    attempts: [{ outcome: 'overloaded' }, { outcome: 'success' }],
  }

  it('is found by the result of parse()', async () => {
    const { llm } = await setUp({ answer: '{"name":"Ada"}', perCall: [overloaded()] })
    const params = { ...ask('who?'), response_format: format }
    const parsed = await llm.chat.completions.parse(params)
    expect(parsed.choices[0]?.message.parsed).toEqual({ name: 'Ada' })
    expect(callReport(parsed)).toMatchObject(twoAttempts)
  })

  it('is found by what parse() throws of an answer', async () => {
    const { llm } = await setUp({ script: [answers('{"na', { finishReason: 'length' })] })
    const params = { ...ask('who?'), response_format: format }
    const error = await rejection(llm.chat.completions.parse(params))
    expect(Object(error).constructor.name).toBe('LengthFinishReasonError')
    expect(callReport(error)).toMatchObject({ outcome: 'success', attempts: [{ status: 200 }] })
  })

  it('is found by the completion of stream(), and by its runner', async () => {
    const { llm } = await setUp({ answer: 'hello', perCall: [overloaded()] })
    const runner = llm.chat.completions.stream(ask('hi'))
    expect(callReport(runner)).toBeUndefined()
    const seen: unknown[] = []
    runner.on('chatCompletion', (arrived) => seen.push(callReport(arrived)?.outcome))
    const completion = await runner.finalChatCompletion()
    expect(completion.choices[0]?.message.content).toBe('hello')
    expect(callReport(completion)).toMatchObject(twoAttempts)
    expect(callReport(runner)).toBe(callReport(completion))
    expect(callReport(runner.allChatCompletions()[0])).toBe(callReport(completion))
    expect(seen).toEqual(['success'])
  })

  it('is found by a runner that is iterated, and is complete when the loop is over', async () => {
    const { llm } = await setUp({ answer: 'hello' })
    const runner = llm.chat.completions.stream({
      ...ask('hi'),
      stream_options: { include_usage: true },
    })
    let text = ''
    for await (const chunk of runner) text += chunk.choices[0]?.delta.content ?? ''
    expect(text).toBe('hello')
    expect(callReport(runner)?.usage.complete).toBe(true)
  })

  it.each([
    ['a refusal', [insufficientQuota()], 'quota_exhausted'],
    ['a cut', [cutStream({ afterChunks: 2 })], 'network'],
  ])(
    'is found by the error of stream() and by its runner after %s',
    async (_name, script, outcome) => {
      const { llm } = await setUp({ answer: 'hello there', script })
      const runner = llm.chat.completions.stream(ask('hi'))
      const error = await rejection(runner.finalChatCompletion())
      expect(error).toBeInstanceOf(Client.APIError)
      expect(callReport(error)).toMatchObject({ outcome, attempts: [{}] })
      expect(callReport(runner)).toMatchObject({ outcome, attempts: [{}] })
    },
  )

  it('is found by the error of an answer that does not fit, made by the runner itself', async () => {
    const { llm } = await setUp({ script: [answers('{"na', { finishReason: 'length' })] })
    const runner = llm.chat.completions.stream({ ...ask('who?'), response_format: format })
    const error = await rejection(runner.finalChatCompletion())
    expect(Object(error).constructor.name).toBe('LengthFinishReasonError')
    expect(callReport(error)).toMatchObject({ attempts: [{ status: 200 }] })
  })

  it('is found by the error of a runner that was aborted', async () => {
    const { llm } = await setUp({
      answer: 'hello there',
      script: [stalledStream({ afterChunks: 2 })],
    })
    const runner = llm.chat.completions.stream(ask('hi'))
    runner.once('content', () => runner.abort())
    const error = await rejection(runner.done())
    expect(error).toBeInstanceOf(Client.APIUserAbortError)
    expect(callReport(error)).toMatchObject({ operation: 'chat', attempts: [{}] })
    expect(callReport(runner)).toMatchObject({ operation: 'chat', attempts: [{}] })
  })

  it.each([false, true])(
    'is found by each completion of runTools(), streamed: %s',
    async (stream) => {
      const { llm, server } = await setUp({
        script: [overloaded(), callsTool('add', '{"a":1}'), answers('done')],
      })
      const add = vi.fn(() => '2')
      const tool = {
        type: 'function' as const,
        function: { name: 'add', parameters: {}, parse: JSON.parse, function: add },
      }
      const params = { ...ask('add'), tools: [tool], stream }
      // One of the two kinds of runner, which are used alike.
      const runner = llm.chat.completions.runTools(params as never)
      const last = await runner.finalChatCompletion()
      expect(add).toHaveBeenCalledTimes(1)
      const [first, second] = runner.allChatCompletions()
      expect(second).toBe(last)
      expect(callReport(first)?.attempts.map(({ outcome }) => outcome)).toEqual([
        'overloaded',
        'success',
      ])
      expect(callReport(second)?.attempts).toHaveLength(1)
      expect(callReport(runner)).toBe(callReport(second))
      expect(server.count).toBe(3)
    },
  )

  it('leaves an error that nobody handles to the process, as the bare helper does', async () => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    onTestFinished(() => {
      process.off('unhandledRejection', unhandled)
    })
    const { llm } = await setUp({ script: [insufficientQuota()] })
    llm.chat.completions.stream(ask('hi'))
    await vi.waitFor(() => expect(unhandled).toHaveBeenCalledTimes(1))
  })
})

describe('the report of an error', () => {
  it('is found through the errors that it caused', async () => {
    const server = await startServer({ script: [insufficientQuota()] })
    const client = new OpenAI({ apiKey: 'sk-test', baseURL: server.baseURL })
    const llm = steady(client, { runtime: createRuntime() })
    const cause = await rejection(llm.chat.completions.create(ask('hi')))
    const outer = new Error('the summary failed', { cause: new Error('no answer', { cause }) })
    expect(callReport(outer)).toBe(callReport(cause))
    const endless = new Error('round')
    endless.cause = endless
    expect(callReport(endless)).toBeUndefined()
  })
})
