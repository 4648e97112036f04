import diagnostics from 'node:diagnostics_channel'
import { createRequire } from 'node:module'
import type OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { ask, keepsItsPromises, setUpWith, streamed, textOf } from './promises.ts'

// Patches what is loaded after it; of ES modules only under a loader that it is started with.
const require = createRequire(import.meta.url)
const tracer: typeof import('dd-trace').default = require('dd-trace')
tracer.init({
  url: 'http://127.0.0.1:9',
  startupLogs: false,
  telemetry: { enabled: false },
} as never)
const Traced: typeof OpenAI = require('openai').OpenAI

let seen = 0
diagnostics.subscribe('tracing:apm:openai:request:start', () => {
  seen += 1
})
let ended = 0
diagnostics.subscribe('tracing:apm:openai:request:asyncEnd', () => {
  ended += 1
})

describe("dd-trace's patched client inside", () => {
  keepsItsPromises((options) => new Traced(options), Traced)

  it('is told of each attempt, and of its end', async () => {
    const { llm } = await setUpWith((options) => new Traced(options), { answer: 'hello' })
    seen = ended = 0
    await llm.chat.completions.create(ask)
    await textOf(await llm.chat.completions.create(streamed))
    expect([seen, ended]).toEqual([2, 2])
  })
})
