import { describe, expect, it } from 'vitest'
import {
  type CallOptions,
  callReport,
  createRuntime,
  isCallError,
  type RegExpEngine,
} from '../../../src/index.ts'
import { answers, callsTool, virtualClock } from '../../../src/testing/index.ts'
import { ask, rejection, setUp } from '../../support/set-up.ts'

const ids = Array.from({ length: 40_000 }, (_, index) => `"${index}"`).join(',')
/** Each of its ids has to be made a number, which takes many turns of the event loop. */
const LARGE = `{"kind":"a","ids":[${ids}]}`
const schema = {
  type: 'object',
  properties: { kind: { pattern: '^a$' }, ids: { type: 'array', items: { type: 'integer' } } },
  required: ['kind', 'ids'],
} as const

/** Calls back when an answer is first held against the schema: while it is being read. */
function onReading(callback: () => void): RegExpEngine {
  let isFirst = true
  return (pattern, flags) => ({
    test(text) {
      if (isFirst) callback()
      isFirst = false
      return new RegExp(pattern, flags).test(text)
    },
  })
}

describe('while a large answer is read', () => {
  it('others get their turns', async () => {
    let turns = 0
    let isOver = false
    const count = () => {
      turns += 1
      if (!isOver) setImmediate(count)
    }
    const { llm } = await setUp({ answer: LARGE }, { regExp: onReading(count) })
    const { value, repairs } = await llm.json({ ...ask('x'), schema })
    isOver = true
    expect([value.ids.length, repairs.length]).toEqual([40_000, 40_000])
    expect(turns).toBeGreaterThan(5)
  })

  it("the caller's signal ends the call, which was paid for and is not made again", async () => {
    const controller = new AbortController()
    const regExp = onReading(() => setImmediate(() => controller.abort(new Error('left'))))
    const { llm, server } = await setUp({ answer: LARGE }, { regExp })
    const error = await rejection(llm.json({ ...ask('x'), schema }, { signal: controller.signal }))
    expect(error).toMatchObject({
      kind: 'aborted',
      reason: 'aborted',
      executed: 'maybe',
      cause: { message: 'left' },
      usage: { complete: true },
    })
    expect(isCallError(error) && error.usage?.outputTokens).toBeGreaterThan(0)
    expect(server.count).toBe(1)
  })

  it('the deadline ends it', async () => {
    const clock = virtualClock()
    const regExp = onReading(() => void clock.advance(60_000))
    const runtime = createRuntime({ clock })
    const { llm, server } = await setUp({ answer: LARGE }, { regExp, runtime })
    const error = await rejection(llm.json({ ...ask('x'), schema }, { deadlineMs: 30_000 }))
    expect(error).toMatchObject({ kind: 'deadline', attempts: [{ outcome: 'deadline' }] })
    expect(server.count).toBe(1)
  })

  it('the time of its attempt does not end it: the answer has come', async () => {
    const clock = virtualClock()
    const regExp = onReading(() => void clock.advance(20_000))
    const runtime = createRuntime({ clock })
    const { llm, server } = await setUp({ answer: LARGE }, { regExp, runtime })
    const limits: CallOptions = { attemptTimeoutMs: 10_000, deadlineMs: 60_000 }
    const { value } = await llm.json({ ...ask('x'), schema }, limits)
    expect(value.ids).toHaveLength(40_000)
    expect(server.count).toBe(1)
  })

  it('the signal of whoever gets it from the store ends the call', async () => {
    const controller = new AbortController()
    const abort = () => setImmediate(() => controller.abort())
    const idempotencyKey = 'large'
    const { llm, server } = await setUp({ answer: LARGE })
    await llm.json({ ...ask('x'), schema }, { idempotencyKey })
    const again = { idempotencyKey, signal: controller.signal, regExp: onReading(abort) }
    const error = await rejection(llm.json({ ...ask('x'), schema }, again))
    expect(error).toMatchObject({ kind: 'aborted', source: 'store' })
    expect(server.count).toBe(1)
  })

  it("so does it for a tool's arguments", async () => {
    const controller = new AbortController()
    const regExp = onReading(() => setImmediate(() => controller.abort()))
    const { llm, server } = await setUp({ perCall: [callsTool('save', LARGE)] }, { regExp })
    const tools = [{ type: 'function' as const, function: { name: 'save', parameters: schema } }]
    const options = { signal: controller.signal, steady: { toolCalls: 'check' as const } }
    const error = await rejection(llm.chat.completions.create({ ...ask('x'), tools }, options))
    expect(callReport(error)).toMatchObject({ outcome: 'aborted', attempts: [{ status: 200 }] })
    expect(server.count).toBe(1)
  })
})

describe("a schema's own check that never ends", () => {
  const endless = {
    '~standard': {
      version: 1,
      vendor: 'endless',
      validate: () => new Promise<{ value: unknown }>(() => {}),
      jsonSchema: { input: () => ({ type: 'object' }), output: () => ({ type: 'object' }) },
    },
  } as const

  it('ends with the signal', async () => {
    const { llm } = await setUp({ perCall: [answers('{}')] })
    const signal = AbortSignal.timeout(50)
    expect(await rejection(llm.json({ ...ask('x'), schema: endless }, { signal }))).toMatchObject({
      kind: 'aborted',
    })
  })

  it('ends with the deadline', async () => {
    const { llm, server } = await setUp({ perCall: [answers('{}')] })
    const error = await rejection(llm.json({ ...ask('x'), schema: endless }, { deadlineMs: 1_000 }))
    expect(error).toMatchObject({ kind: 'deadline' })
    expect(server.count).toBe(1)
  })
})
