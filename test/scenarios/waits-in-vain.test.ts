import OpenAI from 'openai'
import { describe, expect, it, onTestFinished } from 'vitest'
import { callReport } from '../../src/index.ts'
import { contextLength, httpError, rateLimited } from '../../src/testing/index.ts'
import { rejection } from '../support/set-up.ts'
import { startRecording } from '../unit/telemetry/recorder.ts'
import { always, bringDown, callErrorOf, close, full, secretive, stage } from './line-stage.ts'

describe('a call that has waited in vain', () => {
  const mute = (error: unknown) => {
    const report = JSON.stringify(callReport(error))
    const cause = Reflect.get(Object(error), 'cause')
    const headers: unknown = Reflect.get(Object(error), 'headers')
    const told = headers instanceof Headers ? JSON.stringify([...headers]) : ''
    return `${String(error)} ${JSON.stringify(error)} ${String(cause)} ${told} ${report}`
  }

  it('json: has kind, status and what is left of the hint, and nothing else of who met it', async () => {
    const at = await stage({ script: [secretive(429, { 'retry-after': '60' })] })
    await close(at)
    await at.clock.advance(10_000)
    const error = callErrorOf(await rejection(at.json('too late', { maxWaitMs: 20_000 })))
    expect(error).toMatchObject({
      kind: 'rate_limit',
      status: 429,
      retryAfterMs: 50_000,
      reason: 'hint_exceeds_wait',
      again: 'later',
      executed: 'no',
      attempts: [],
    })
    expect(error.requestId).toBeUndefined()
    expect(error.cause).toBeUndefined()
    expect(error.message).toMatch(
      /^Rate limited at 127\.0\.0\.1.* \(429\) before any attempt; it asks to wait 50 s, maxWaitMs allows 20 s\. Raise maxWaitMs, name a fallback, or call again later\.$/,
    )
    expect(mute(error)).not.toContain('SECRET')
    expect(at.server.count).toBe(1)
  })

  it('create: has the class of the status, and what is left of the hint in its headers', async () => {
    const at = await stage({ script: [secretive(429, { 'retry-after': '600' })] })
    await close(at)
    await at.clock.advance(10_500)
    const error = await rejection(at.create('too late'))
    expect(error).toBeInstanceOf(OpenAI.RateLimitError)
    expect(error).toMatchObject({ status: 429, code: 'rate_limit' })
    expect(
      Object.fromEntries((error as InstanceType<typeof OpenAI.APIError>).headers ?? []),
    ).toEqual({ 'retry-after': '590' })
    // The default: 20 s, or a hint of up to a minute.
    expect(String(error)).toContain('it asks to wait 590 s, maxWaitMs allows 60 s')
    expect(mute(error)).not.toContain('SECRET')
  })

  it.each([
    [503, OpenAI.InternalServerError, 'overloaded'],
    [500, OpenAI.InternalServerError, 'server_error'],
    [529, OpenAI.InternalServerError, 'overloaded'],
  ])('for a target that is down by %i: the class of that status', async (status, Class, kind) => {
    const at = await stage(always(secretive(status)))
    await bringDown(at)
    const error = await rejection(at.create('held', { steady: { maxWaitMs: 0 } }))
    expect(error).toBeInstanceOf(Class)
    expect(error).toMatchObject({ status, code: kind })
    expect(callReport(error)).toMatchObject({ outcome: kind, attempts: [] })
    expect(mute(error)).not.toContain('SECRET')
    const told = callErrorOf(await rejection(at.json('held too', { maxWaitMs: 0 })))
    expect(told).toMatchObject({ kind, status, reason: 'max_wait', executed: 'no' })
    expect(told.message).toMatch(/would have to wait for a target that is down/)
  })

  it('for a target that refuses connections: the class of a lost connection', async () => {
    const at = await stage()
    await at.server.close()
    await bringDown(at)
    const error = await rejection(at.create('held', { steady: { maxWaitMs: 0 } }))
    expect(error).toBeInstanceOf(OpenAI.APIConnectionError)
    expect(callReport(error)).toMatchObject({ outcome: 'network', attempts: [] })
  })

  it('says what it has waited for, how long, and what to do', async () => {
    const at = await full()
    const error = callErrorOf(await at.drive(rejection(at.json('patient', { maxWaitMs: 7_000 }))))
    expect(error).toMatchObject({ kind: 'overloaded', reason: 'max_wait', attempts: [] })
    expect(error.message).toMatch(
      /before any attempt; the call waited 7 s, last for a place within the limit of this target, and maxWaitMs allows 7 s/,
    )
    expect(error.message).toMatch(/Raise maxWaitMs, name a fallback, or call again later\.$/)
  })

  it('tells what it has waited for in its error, its report and the event', async () => {
    const at = await full()
    const waits = [{ for: 'limit', ms: 7_000 }]
    const error = callErrorOf(await at.drive(rejection(at.json('patient', { maxWaitMs: 7_000 }))))
    expect(error.waits).toEqual(waits)
    expect(callReport(error)).toMatchObject({ attempts: [], waits })
    expect(at.events).toContainEqual(
      expect.objectContaining({ type: 'call-stopped', reason: 'max_wait', waits }),
    )
  })

  it('tells of the waits since its last attempt only', async () => {
    const at = await stage({
      script: [rateLimited({ retryAfterMs: 1_000 }), rateLimited({ retryAfterMs: 30_000 })],
    })
    const caller = new AbortController()
    const held = rejection(at.create('held', { signal: caller.signal }))
    while (at.server.count < 2) {
      await at.quiet()
      if (at.server.count < 2) await at.clock.advanceToNext()
    }
    await at.quiet()
    await at.clock.advance(5_000)
    caller.abort()
    expect(callReport(await held)).toMatchObject({
      outcome: 'aborted',
      attempts: [{}, { waits: [{ for: 'hint', ms: 1_000 }] }],
      waits: [{ for: 'hint', ms: 5_000 }],
    })
  })

  it('tells of no wait where it has not waited', async () => {
    const at = await stage({ script: [secretive(429, { 'retry-after': '60' })] })
    await close(at)
    const error = await rejection(at.create('too late', { steady: { maxWaitMs: 0 } }))
    expect(callReport(error)).not.toHaveProperty('waits')
    const stops = at.events.filter(({ type }) => type === 'call-stopped')
    expect(stops).toHaveLength(2)
    for (const stop of stops) expect(stop).not.toHaveProperty('waits')
  })

  it('and has an error of its own keeps that one', async () => {
    const at = await stage({
      script: [httpError(429, { error: { message: 'mine' } }, { 'retry-after': '70' })],
    })
    const error = await at.drive(rejection(at.create('first')))
    expect(error).toBeInstanceOf(OpenAI.RateLimitError)
    expect(error).toMatchObject({ error: { message: 'mine' } })
    expect(at.clock.monotonicMs()).toBe(0)
  })

  it('by its deadline says so', async () => {
    const at = await full()
    const held = at.json('held', { deadlineMs: 5_000 })
    const error = callErrorOf(await at.drive(rejection(held)))
    expect(error).toMatchObject({ kind: 'overloaded', reason: 'deadline' })
    expect(error.message).toMatch(
      /the call waited 4\.8 s, last for a place within the limit of this target, and the deadline leaves no time/,
    )
  })

  it('by its signal ends at once', async () => {
    const at = await stage({ script: [rateLimited({ retryAfterMs: 30_000 })] })
    await close(at)
    const caller = new AbortController()
    const held = rejection(at.create('held', { signal: caller.signal }))
    await at.quiet()
    expect(at.llm.targets()).toMatchObject([{ waiting: 1 }])
    caller.abort()
    expect(await held).toBeInstanceOf(OpenAI.APIUserAbortError)
    expect(at.llm.targets()).toMatchObject([{ waiting: 0, inFlight: 0 }])
    expect(at.clock.pending).toBe(0)
  })

  it('shows on its span what it has waited for, and counts it for the target that held it', async () => {
    const recorder = startRecording()
    onTestFinished(() => recorder.stop())
    const at = await stage({ script: [contextLength(), rateLimited({ retryAfterMs: 30_000 })] })
    const caller = new AbortController()
    const steady = { fallbacks: [{ model: 'other' }] }
    const held = rejection(at.create('held', { signal: caller.signal, steady }))
    while (at.server.count < 2) await at.quiet()
    await at.quiet()
    await at.clock.advance(5_000)
    caller.abort()
    await held
    const { attributes, events } = recorder.span('chat gpt-test')
    expect(attributes).toMatchObject({ 'steadycall.wait.hint': 5 })
    expect(
      events.find(({ name }) => name === 'steadycall.retry.stopped')?.attributes,
    ).toMatchObject({ 'steadycall.stop_reason': 'aborted', 'steadycall.wait.for': 'hint' })
    const points = (await recorder.points()).filter(({ name }) =>
      name.startsWith('steadycall.wait'),
    )
    const of = { 'gen_ai.request.model': 'other', 'steadycall.wait.for': 'hint' }
    expect(points).toMatchObject([
      { name: 'steadycall.wait.duration', value: 5, count: 1, attributes: of },
      { name: 'steadycall.wait.in_vain', value: 1, attributes: of },
    ])
  })
})
