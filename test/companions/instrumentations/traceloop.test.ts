import { OpenAIInstrumentation } from '@traceloop/instrumentation-openai'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { keepsItsPromises, setUpWith, streamed, textOf } from './promises.ts'

describe('a client that is wrapped before Traceloop patches its class', () => {
  it('streams as before', async () => {
    const { llm } = await setUpWith((options) => new OpenAI(options), { answer: 'hello' })
    expect(await textOf(await llm.chat.completions.create(streamed))).toBe('hello')
    new OpenAIInstrumentation().manuallyInstrument(OpenAI)
    expect(await textOf(await llm.chat.completions.create(streamed))).toBe('hello')
  })
})

// From here on the class is patched.
describe('steady(client) under Traceloop', () => {
  keepsItsPromises((options) => new OpenAI(options), OpenAI)
})
