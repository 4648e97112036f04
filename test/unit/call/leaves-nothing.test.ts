import { execFile } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { createRuntime } from '../../../src/index.ts'
import {
  answers,
  badRequest,
  cutStream,
  hangs,
  overloaded,
  rateLimited,
  virtualClock,
} from '../../../src/testing/index.ts'
import { ask, person, rejection, setUp, startServer } from '../../support/set-up.ts'

const run = promisify(execFile)

describe('a call that is over leaves nothing behind', () => {
  it.each([
    ['a success', []],
    ['a failure', [badRequest()]],
    ['a retry', [overloaded()]],
    ['a re-ask', [answers('{}')]],
  ])('after %s: no timer, no listener, no flight', async (_, perCall) => {
    const clock = virtualClock()
    const runtime = createRuntime({ clock, random: () => 0 })
    const { llm } = await setUp({ perCall }, { runtime })
    const { signal } = new AbortController()
    for (const options of [{ signal }, { signal, idempotencyKey: 'k' }]) {
      await llm.json({ ...ask('who?'), schema: person }, options).catch(() => {})
    }
    await llm.chat.completions.create(ask('hi'), { signal }).catch(() => {})
    expect(clock.pending).toBe(0)
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(runtime.shared.flights.size).toBe(0)
  })

  it('after an abort, in an attempt or between two', async () => {
    const clock = virtualClock()
    const runtime = createRuntime({ clock, random: () => 0 })
    const { llm, server } = await setUp(
      { script: [hangs(), rateLimited({ retryAfterMs: 9_000 })] },
      { runtime },
    )
    for (const requests of [1, 2]) {
      const controller = new AbortController()
      const { signal } = controller
      const pending = rejection(llm.json({ ...ask('who?'), schema: person }, { signal }))
      while (server.count < requests) await new Promise((resolve) => setTimeout(resolve, 2))
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(clock.pending).toBe(1)
      controller.abort()
      await expect(pending).resolves.toMatchObject({ kind: 'aborted' })
      expect(clock.pending).toBe(0)
      expect(getEventListeners(signal, 'abort')).toEqual([])
    }
  })

  it.each([
    ['read to its end', []],
    ['cut', [cutStream()]],
  ])('after a stream %s', async (_, perCall) => {
    const clock = virtualClock()
    const runtime = createRuntime({ clock, random: () => 0 })
    const { llm } = await setUp({ perCall }, { runtime })
    const { signal } = new AbortController()
    const stream = await llm.chat.completions.create({ ...ask('hi'), stream: true }, { signal })
    const read = async () => {
      for await (const _chunk of stream);
    }
    await read().catch(() => {})
    expect(clock.pending).toBe(0)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('lets a process end while a long deadline has hours to go', async () => {
    const server = await startServer()
    const source = `
      import OpenAI from 'openai'
      import { steady } from 'steadycall'
      const llm = steady(new OpenAI({ apiKey: 'k', baseURL: '${server.baseURL}' }))
      await llm.json(
        { model: 'm', messages: [{ role: 'user', content: 'x' }], schema: { type: 'object' } },
        { deadlineMs: 36e5, idempotencyKey: 'k' },
      )
      console.log('done')`
    await expect(evaluate(source)).resolves.toMatchObject({ stdout: 'done\n' })
  })

  it('an unawaited failure is an unhandled rejection, once, as it is with openai', async () => {
    const server = await startServer({ perCall: () => [badRequest()] })
    const source = `
      import OpenAI from 'openai'
      import { steady } from 'steadycall'
      process.on('unhandledRejection', (error) => console.log('unhandled', error.status))
      const llm = steady(new OpenAI({ apiKey: 'k', baseURL: '${server.baseURL}' }))
      llm.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'x' }] })
      const handled = llm.chat.completions.create({ model: 'm', messages: [] }).withResponse()
      await handled.catch(() => {})`
    await expect(evaluate(source)).resolves.toMatchObject({ stdout: 'unhandled 400\n' })
  })
})

/** Runs a module as an application would, in a process of its own. */
function evaluate(source: string): Promise<{ stdout: string }> {
  const cwd = fileURLToPath(new URL('../../../', import.meta.url))
  const flags = ['--conditions=steadycall:source', '--input-type=module', '--eval', source]
  return run(process.execPath, flags, { cwd })
}
