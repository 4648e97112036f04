import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI from 'openai'
import { type CallEvent, createRuntime, steady } from 'steadycall'
import { overloaded, rateLimited, startFaultServer, virtualClock } from 'steadycall/testing'

const request = { model: 'gpt-test', messages: [{ role: 'user' as const, content: 'hello' }] }

// #region faults
test('a greeting survives an overloaded provider', async (t) => {
  const server = await startFaultServer({ perCall: [overloaded(), overloaded()], answer: 'hi' })
  t.after(() => server.close())
  const client = new OpenAI({ apiKey: 'test', baseURL: server.baseURL })
  // A runtime of its own shares no line with other tests; its randomness gives the shortest waits.
  const llm = steady(client, { runtime: createRuntime({ random: () => 0 }) })

  const completion = await llm.chat.completions.create(request)

  assert.equal(completion.choices[0]?.message.content, 'hi')
  assert.deepEqual(
    server.requests.map(({ fault }) => fault),
    ['overloaded', 'overloaded', 'ok'],
  )
})
// #endregion

// #region clock
test('a retry waits for the minute that the provider asks for', async (t) => {
  const server = await startFaultServer({ perCall: [rateLimited({ retryAfterMs: 60_000 })] })
  t.after(() => server.close())
  const client = new OpenAI({ apiKey: 'test', baseURL: server.baseURL })
  const clock = virtualClock()
  const runtime = createRuntime({ clock, random: () => 0 })
  let tell = () => {}
  const retryScheduled = new Promise<void>((resolve) => {
    tell = resolve
  })
  const onEvent = ({ type }: CallEvent) => {
    if (type === 'retry-scheduled') tell()
  }
  const call = steady(client, { runtime, onEvent }).chat.completions.create(request)

  await retryScheduled
  await clock.advance(59_999)
  assert.equal(server.count, 1)
  await clock.advance(1)
  await call
  assert.equal(server.count, 2)
})
// #endregion

// #region double
test('a wrong count is asked for again, with a test double as the client', async (t) => {
  const says = (content: string) => ({
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content } }],
  })
  const answers = [says('many'), says('{"count":3}')]
  const create = t.mock.fn(async () => answers.shift())
  const llm = steady({ chat: { completions: { create } } }, { runtime: createRuntime() })

  const schema = { type: 'object', properties: { count: { type: 'integer' } } } as const
  const { value } = await llm.json({ ...request, schema })

  assert.deepEqual(value, { count: 3 })
  assert.equal(create.mock.callCount(), 2)
})
// #endregion
