import { type ContextManager, context, metrics, trace } from '@opentelemetry/api'
import { type SpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterEach, describe, expect, it } from 'vitest'
import { startCall } from '../../../src/telemetry/telemetry.ts'
import { chat, report, settle } from './recorder.ts'

afterEach(() => {
  trace.disable()
  context.disable()
  metrics.disable()
})

/** A call that uses the whole surface; returns what the attempt's function returned. */
function wholeCall(): string {
  const call = startCall(chat({ content: { capture: true, messages: [{ role: 'user' }] } }))
  const attempt = call.startAttempt({ number: 1, cause: 'initial', delayMs: 0 })
  const value = attempt.run(() => 'answer')
  attempt.end(report({ usage: { inputTokens: 1, outputTokens: 1 } }))
  call.read({
    type: 'retry-scheduled',
    number: 1,
    kind: 'timeout',
    delayMs: 1,
    delaySource: 'backoff',
  })
  call.read({ type: 'reask-sent', number: 1, kind: 'schema_mismatch', traced: { issueCount: 1 } })
  call.read({
    type: 'fallback-selected',
    number: 1,
    kind: 'timeout',
    target: 'b',
    traced: { from: 'a' },
  })
  call.read({ type: 'retries-multiplied', wireRequests: 2 })
  call.read({ type: 'call-repeated' })
  call.read({ type: 'output-repaired', rules: ['number'] })
  call.read({
    type: 'call-stopped',
    number: 1,
    reason: 'deadline',
    kind: 'timeout',
    traced: { target: {} },
  })
  settle(call, { ok: true, source: 'provider', answer: [], attempts: [report()] })
  return value
}

const broken = (): never => {
  throw new Error('exporter is broken')
}

describe('the outcome of a call', () => {
  it('does not need an SDK', () => {
    expect(wholeCall()).toBe('answer')
  })

  it.each(['onStart', 'onEnd'] as const)('survives a span processor that throws in %s', (hook) => {
    const processor: SpanProcessor = {
      onStart: () => undefined,
      onEnd: () => undefined,
      forceFlush: () => Promise.resolve(),
      shutdown: () => Promise.resolve(),
      [hook]: broken,
    }
    trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [processor] }))
    expect(wholeCall()).toBe('answer')
  })

  it('survives providers that throw', () => {
    trace.setGlobalTracerProvider({ getTracer: broken })
    metrics.setGlobalMeterProvider({ getMeter: broken })
    expect(wholeCall()).toBe('answer')
  })

  it('survives a context manager that throws, and runs the attempt once', () => {
    const manager: ContextManager = {
      active: broken,
      with: broken,
      bind: broken,
      enable: () => manager,
      disable: () => manager,
    }
    context.setGlobalContextManager(manager)
    expect(wholeCall()).toBe('answer')
  })

  it("is the attempt's own error where its function throws, after one run of it", () => {
    const failure = new Error('the provider is down')
    let runs = 0
    const attempt = startCall(chat()).startAttempt({ number: 1, cause: 'initial', delayMs: 0 })
    expect(() =>
      attempt.run(() => {
        runs += 1
        throw failure
      }),
    ).toThrow(failure)
    expect(runs).toBe(1)
  })
})
