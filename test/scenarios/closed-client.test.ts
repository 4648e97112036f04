import { setImmediate } from 'node:timers/promises'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { callReport, steady } from '../../src/index.ts'
import {
  answers,
  badRequest,
  hangs,
  ok,
  rateLimited,
  serverError,
} from '../../src/testing/index.ts'
import { ask, person, rejection } from '../support/set-up.ts'
import { callErrorOf, close, type Stage, stage } from './line-stage.ts'

const ada = '{"name":"Ada","age":36}'
const hinted = { script: [rateLimited({ retryAfterMs: 30_000 })], answer: ada }

/** Until so many requests have come. */
async function arrived(at: Stage, count: number): Promise<void> {
  while (at.server.count < count) await setImmediate()
}

describe('close()', () => {
  it('ends the calls of its client that wait in a line, at once', async () => {
    const at = await stage(hinted)
    await close(at)
    const waiting = [rejection(at.json('a')), rejection(at.json('b', { idempotencyKey: 'k' }))]
    const dropIn = rejection(at.create('c', { steady: { maxWaitMs: 60_000 } }))
    await at.quiet()
    expect(at.llm.targets()).toMatchObject([{ waiting: 3 }])
    await at.clock.advance(5_000)
    expect(at.llm.close()).toBeUndefined()
    for (const error of await Promise.all(waiting)) {
      expect(callErrorOf(error)).toMatchObject({
        kind: 'aborted',
        reason: 'aborted',
        again: 'later',
        executed: 'no',
        waits: [{ for: 'hint', ms: 5_000 }],
      })
      expect(String(error)).toContain(
        'before any attempt; the client was closed by llm.close(). Make the call with another client.',
      )
    }
    const error = await dropIn
    expect(error).toBeInstanceOf(OpenAI.APIUserAbortError)
    expect(String(error)).toContain('the client was closed by llm.close()')
    expect(callReport(error)).toMatchObject({ outcome: 'aborted', reason: 'aborted', attempts: [] })
    expect(at.llm.targets()).toMatchObject([{ waiting: 0, inFlight: 0 }])
    expect(at.clock.pending).toBe(0)
    expect(at.server.count).toBe(1)
  })

  it('ends a backoff of its own, where the call does not wait for its target', async () => {
    const at = await stage({ perCall: () => [serverError()], answer: ada })
    const waiting = rejection(at.json('a', { maxWaitMs: 0, backoff: { delayMs: () => 9_000 } }))
    await arrived(at, 1)
    await at.quiet()
    expect(at.clock.pending).toBe(1)
    at.llm.close()
    expect(callErrorOf(await waiting)).toMatchObject({ kind: 'aborted', attempts: [{}] })
    expect(at.clock.pending).toBe(0)
    expect(at.server.count).toBe(1)
  })

  it('leaves the calls of other clients where they are', async () => {
    const at = await stage(hinted)
    const other = steady(at.client, { runtime: at.runtime })
    await close(at)
    const key = { idempotencyKey: 'k' }
    const ended = [rejection(at.json('a')), rejection(at.json('shared', key))]
    await at.quiet()
    const kept = [{}, key].map((options) =>
      other.json({ ...ask('shared'), schema: person }, options),
    )
    await at.quiet()
    at.llm.close()
    await Promise.all(ended)
    const values = await at.drive(Promise.all(kept))
    expect(values.map(({ value }) => value)).toEqual([
      { name: 'Ada', age: 36 },
      { name: 'Ada', age: 36 },
    ])
  })

  it('refuses each call that is made from then on, and sends nothing', async () => {
    const at = await stage({ answer: ada })
    const key = { idempotencyKey: 'k' }
    await at.json('kept', key)
    at.llm.close()
    at.llm.close()
    const { create } = at.llm.chat.completions
    const calls = [
      () => at.json('a'),
      () => at.json('kept', key),
      () => at.llm.run('work', () => 1),
      () => at.create('a'),
      () => create({ ...ask('a'), stream: true }),
      () => create(ask('a')).asResponse(),
      () => at.llm.withOptions({ timeout: 5_000 }).chat.completions.create(ask('a')),
    ]
    for (const call of calls) {
      const error = await rejection(call())
      expect(callReport(error)).toMatchObject({ outcome: 'aborted', attempts: [] })
      expect(String(error)).toContain('the client was closed by llm.close()')
    }
    expect(at.server.count).toBe(1)
    expect(at.llm.targets()).toMatchObject([{ waiting: 0, inFlight: 0 }, {}])
  })

  it('lets an attempt in flight finish', async () => {
    const at = await stage({ answer: ada })
    const running = at.json('a')
    await arrived(at, 1)
    at.llm.close()
    await expect(at.drive(running)).resolves.toMatchObject({ value: { name: 'Ada', age: 36 } })
  })

  it.each([
    ['retry', serverError(), {}],
    ['retry after a hint', rateLimited({ retryAfterMs: 10 }), {}],
    ['re-ask', answers('{"name":1}'), {}],
    ['fallback', rateLimited({ retryAfterMs: 9_000 }), { fallbacks: [{ model: 'other' }] }],
  ])('sends nothing after an attempt in flight: no %s', async (_, fault, options) => {
    const at = await stage({ script: [fault], answer: ada })
    const running = rejection(at.json('a', options))
    await arrived(at, 1)
    at.llm.close()
    expect(callErrorOf(await at.drive(running))).toMatchObject({ kind: 'aborted', attempts: [{}] })
    expect(at.server.count).toBe(1)
    expect(at.clock.pending).toBe(0)
  })

  it('leaves a call in flight the failure that no retry could mend', async () => {
    const at = await stage({ script: [badRequest()] })
    const running = rejection(at.json('a'))
    await arrived(at, 1)
    at.llm.close()
    expect(callErrorOf(await at.drive(running))).toMatchObject({ kind: 'invalid_request' })
  })

  it('sends no hedge beside an attempt in flight', async () => {
    const at = await stage({ script: [hangs()], answer: ada }, { hedge: { delayMs: 1_000 } })
    const running = rejection(at.create('a', { steady: { attemptTimeoutMs: 5_000 } }))
    await arrived(at, 1)
    at.llm.close()
    await at.clock.advance(6_000)
    expect(await running).toBeInstanceOf(OpenAI.APIUserAbortError)
    expect(at.server.count).toBe(1)
  })

  it('sends nothing for a call whose turn came in the same moment', async () => {
    const at = await stage(hinted)
    await close(at)
    const waiting = rejection(at.json('a'))
    await at.quiet()
    // Its line lets it go, and the client is closed before it has gone.
    at.llm.reopen(at.llm.targets()[0]?.target ?? '')
    at.llm.close()
    expect(callErrorOf(await waiting)).toMatchObject({ kind: 'aborted', attempts: [] })
    expect(at.server.count).toBe(1)
    expect(at.llm.targets()).toMatchObject([{ waiting: 0, inFlight: 0 }])
  })

  it('ends thousands of waiting calls, and keeps the others in their order', async () => {
    const at = await stage(hinted)
    const other = steady(at.client, { runtime: at.runtime })
    await close(at)
    const ended: Promise<unknown>[] = []
    const kept: Promise<unknown>[] = []
    for (let call = 0; call < 2_000; call += 1) {
      ended.push(rejection(at.json(`a ${call}`)))
      if (call % 500 === 0) kept.push(other.json({ ...ask(`kept ${call}`), schema: person }))
    }
    await at.quiet()
    at.llm.close()
    await Promise.all(ended)
    expect(at.llm.targets()).toMatchObject([{ waiting: 4 }])
    await at.drive(Promise.all(kept))
    const asked = at.server.requests.slice(1).map(({ body }) => JSON.stringify(body))
    expect(asked.map((text) => /kept \d+/.exec(text)?.[0])).toEqual(
      [0, 500, 1_000, 1_500].map((call) => `kept ${call}`),
    )
  })
})

it('is of no consequence for what the client itself does', async () => {
  const at = await stage({ script: [ok()] })
  at.llm.close()
  await at.client.chat.completions.create(ask('bare'))
  expect(at.server.count).toBe(1)
})
