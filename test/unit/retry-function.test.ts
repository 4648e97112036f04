import { getEventListeners } from 'node:events'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import OpenAI from 'openai'
import { describe, expect, it, onTestFinished } from 'vitest'
import { FAILURE_KINDS, isFailureKind } from '../../src/errors/failure-kinds.ts'
import {
  CallError,
  type CallEvent,
  callReport,
  createRuntime,
  notExecuted,
  type RetryContext,
  type RetryPolicy,
  retry,
  steady,
} from '../../src/index.ts'
import { overloaded, type VirtualClock, virtualClock } from '../../src/testing/index.ts'
import { ask, clientFor, patientRuntime, rejection, setUp, startServer } from '../support/set-up.ts'

const KINDS = Object.keys(FAILURE_KINDS).filter(isFailureKind)

/** Virtual time, the given randomness, and a note of when the function was called. */
function bench(random = 0) {
  const clock = virtualClock()
  const calledAtMs: number[] = []
  const events: CallEvent[] = []
  return {
    clock,
    calledAtMs,
    events,
    policy: {
      runtime: createRuntime({ clock, random: () => random }),
      onEvent: (event: CallEvent) => void events.push(event),
    },
    /** Throws these one after the other, the last of them for ever; GOOD is a success instead. */
    failing:
      (...errors: readonly unknown[]) =>
      async ({ attempt }: RetryContext): Promise<string> => {
        calledAtMs.push(clock.monotonicMs())
        const error = errors[Math.min(attempt, errors.length) - 1]
        if (error === GOOD) return `attempt ${attempt}`
        throw error
      },
  }
}

const GOOD = Symbol('a success')

/** Fires timers, earliest first, until the work settles. */
async function finish<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  let settled = false
  const done = () => {
    settled = true
  }
  work.then(done, done)
  for (await clock.advance(0); !settled; await clock.advance(0)) await clock.advanceToNext()
  return work
}

function failureOf(clock: VirtualClock, work: Promise<unknown>): Promise<unknown> {
  return finish(clock, rejection(work))
}

function broken(status: number, headers: Readonly<Record<string, string>> = {}): Error {
  return Object.assign(new Error(`status ${status}`), { status, headers })
}

function reset(): Error {
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
}

function unreadable(): object {
  return {
    get retryable(): boolean {
      throw new Error('a bug of the getter')
    },
  }
}

/** Calls `retry` as untyped JavaScript would. */
function retryWith(policy: unknown): Promise<unknown> {
  return rejection(Reflect.apply(retry, undefined, [() => 1, policy]))
}

describe('retry', () => {
  it('gives back what the function gives, after one call where that succeeds', async () => {
    const contexts: RetryContext[] = []
    const value = await retry((given) => {
      contexts.push(given)
      return { id: 7 }
    })
    expect(value).toEqual({ id: 7 })
    expect(contexts).toEqual([{ signal: expect.any(AbortSignal), attempt: 1 }])
    expect(callReport(value)).toMatchObject({ operation: 'retry', attempts: [{ number: 1 }] })
  })

  it('calls again after a failure that passes, under full jitter', async () => {
    const { clock, policy, failing, calledAtMs } = bench(0.5)
    const value = await finish(clock, retry(failing(reset(), broken(503), GOOD), policy))
    expect(value).toBe('attempt 3')
    // Half of 500 ms, then half of 1,000 ms.
    expect(calledAtMs).toEqual([0, 250, 750])
  })

  it.each([
    ['a permanent failure', broken(401)],
    ['an error that says nothing', new Error('x')],
    ['a bug', new TypeError('x is not a function')],
  ])('calls once for %s', async (_, error) => {
    const { clock, policy, failing, calledAtMs } = bench()
    await expect(failureOf(clock, retry(failing(error), policy))).resolves.toBe(error)
    expect(calledAtMs).toEqual([0])
  })

  it("throws the function's own last error, untouched, and callReport tells the attempts", async () => {
    const { clock, policy, failing } = bench()
    const last = Object.freeze(broken(500))
    const error = await failureOf(clock, retry(failing(reset(), broken(503), last), policy))
    expect(error).toBe(last)
    expect(callReport(error)).toMatchObject({
      operation: 'retry',
      outcome: 'server_error',
      reason: 'max_attempts',
      attempts: [
        { outcome: 'network', code: 'ECONNRESET', target: 'run retry' },
        { outcome: 'overloaded', status: 503 },
        { outcome: 'server_error', status: 500 },
      ],
    })
  })

  it('leaves no mark on the error', async () => {
    const { clock, policy, failing } = bench()
    const error = reset()
    await failureOf(clock, retry(failing(error), policy))
    expect(Reflect.ownKeys(error)).toEqual(['stack', 'message', 'code'])
  })

  it.each([[undefined], [null], ['a word'], [0]])(
    'throws %j where that was thrown',
    async (thrown) => {
      const { clock, policy, failing, calledAtMs } = bench()
      const classify = () => ({ retryable: true })
      const work = retry(failing(thrown), { ...policy, classify })
      await expect(failureOf(clock, work)).resolves.toBe(thrown)
      expect(calledAtMs).toHaveLength(3)
    },
  )

  it('takes a function that throws before it returns a promise', async () => {
    const { clock, policy } = bench()
    const error = notExecuted(reset())
    const work = retry(() => {
      throw error
    }, policy)
    await expect(failureOf(clock, work)).resolves.toBe(error)
    expect(callReport(error)?.attempts).toMatchObject([{}, {}, { executed: 'no' }])
  })

  it('shares no budget and no breaker: fifty calls that fail make three attempts each', async () => {
    const { clock, policy, failing, calledAtMs } = bench()
    for (let call = 0; call < 50; call++)
      await failureOf(clock, retry(failing(broken(503)), policy))
    expect(calledAtMs).toHaveLength(150)
  })

  it('makes all of ten attempts, although all of them fail', async () => {
    const { clock, policy, failing, calledAtMs } = bench()
    await failureOf(clock, retry(failing(broken(503)), { ...policy, maxAttempts: 10 }))
    expect(calledAtMs).toHaveLength(10)
  })

  it("hides no defect of its runtime behind the function's error", async () => {
    const { clock, failing } = bench()
    const cause = new Error('a bug of the generator')
    const random = () => {
      throw cause
    }
    const work = retry(failing(reset()), { runtime: createRuntime({ clock, random }) })
    await expect(failureOf(clock, work)).resolves.toMatchObject({ name: 'CallError', cause })
  })
})

describe('the waits of retry', () => {
  it('are delayForAttempt, asked with the number of the attempt that failed', async () => {
    const { clock, policy, failing, calledAtMs } = bench()
    const delayForAttempt = (attempt: number) => attempt * 1_000
    const work = retry(failing(reset(), reset(), GOOD), { ...policy, delayForAttempt })
    await clock.advance(999)
    expect(calledAtMs).toEqual([0])
    await clock.advance(1)
    expect(calledAtMs).toEqual([0, 1_000])
    await clock.advance(1_999)
    expect(calledAtMs).toEqual([0, 1_000])
    await clock.advance(1)
    expect(calledAtMs).toEqual([0, 1_000, 3_000])
    await expect(work).resolves.toBe('attempt 3')
  })

  it('follow delayForAttempt after an attempt that timed out, too', async () => {
    const { clock, policy } = bench()
    const startedAtMs: number[] = []
    const hang = () => {
      startedAtMs.push(clock.monotonicMs())
      return new Promise<never>(() => {})
    }
    const times = { maxAttempts: 2, attemptTimeoutMs: 100, delayForAttempt: () => 40 }
    await failureOf(clock, retry(hang, { ...policy, ...times }))
    expect(startedAtMs).toEqual([0, 140])
  })

  it('ask delayForAttempt only where a wait follows', async () => {
    const { clock, policy, failing } = bench()
    const asked: number[] = []
    const delayForAttempt = (attempt: number) => asked.push(attempt)
    const hinted = broken(429, { 'retry-after-ms': '50' })
    const errors = [hinted, reset(), reset()]
    await failureOf(clock, retry(failing(...errors), { ...policy, delayForAttempt }))
    await failureOf(clock, retry(failing(broken(400)), { ...policy, delayForAttempt }))
    expect(asked).toEqual([2])
  })

  it.each([
    ['exactly it at the least', 0, 5_000],
    ['exactly it at the most', 0.999_999, 5_000],
  ])("are never shorter than classify's hint: %s", async (_, random, atMs) => {
    const { clock, policy, failing, calledAtMs } = bench(random)
    const classify = () => ({ retryable: true, retryAfterMs: 5_000 })
    const delayForAttempt = () => 1
    const work = retry(failing(new Error('x'), GOOD), { ...policy, classify, delayForAttempt })
    await finish(clock, work)
    expect(calledAtMs).toEqual([0, atMs])
  })

  it("obey the error's own hint where classify gives none, and none where it gives 0", async () => {
    const { clock, policy, failing, calledAtMs } = bench()
    const busy = broken(429, { 'retry-after': '3' })
    const keep = { ...policy, classify: () => ({ retryable: true }) }
    await finish(clock, retry(failing(busy, GOOD), keep))
    const drop = { ...policy, classify: () => ({ retryable: true, retryAfterMs: 0 }) }
    await finish(clock, retry(failing(busy, GOOD), drop))
    expect(calledAtMs).toEqual([0, 3_000, 3_000, 3_000])
  })

  it('do not begin for a hint above maxWaitMs: the error comes at once', async () => {
    const { clock, policy, failing } = bench()
    const error = new Error('closed for lunch')
    const classify = () => ({ retryable: true, retryAfterMs: 1_001 })
    const work = retry(failing(error), { ...policy, classify, maxWaitMs: 1_000 })
    await expect(work).rejects.toBe(error)
    expect(clock.pending).toBe(0)
    expect(callReport(error)).toMatchObject({
      reason: 'hint_exceeds_wait',
      attempts: [{ retryAfterMs: 1_001 }],
    })
  })

  it('end at once with the signal, and leave nothing behind', async () => {
    const { clock, policy, failing, calledAtMs } = bench(0.5)
    const controller = new AbortController()
    const { signal } = controller
    const pending = rejection(retry(failing(reset()), { ...policy, signal }))
    await clock.advance(249)
    expect(clock.pending).toBe(1)
    const reason = new Error('the user left')
    controller.abort(reason)
    const error = await pending
    expect(error).toBeInstanceOf(CallError)
    expect(error).toMatchObject({ kind: 'aborted', reason: 'aborted', cause: reason })
    expect(callReport(error)?.attempts).toMatchObject([{ outcome: 'network' }])
    expect(clock.pending).toBe(0)
    expect(getEventListeners(signal, 'abort')).toEqual([])
    await clock.advance(600_000)
    expect(calledAtMs).toEqual([0])
  })
})

describe('the limits of retry', () => {
  it('end an attempt with the signal, which the function has as well', async () => {
    const { clock, policy } = bench()
    const controller = new AbortController()
    let seen: AbortSignal | undefined
    const hang = ({ signal }: RetryContext) => {
      seen = signal
      return new Promise<never>(() => {})
    }
    const pending = rejection(retry(hang, { ...policy, signal: controller.signal }))
    await clock.advance(10)
    controller.abort('enough')
    await expect(pending).resolves.toMatchObject({ kind: 'aborted', cause: 'enough' })
    expect(seen?.aborted).toBe(true)
    expect(clock.pending).toBe(0)
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })

  it('call nothing for a signal that is aborted already', async () => {
    const { policy, failing, calledAtMs } = bench()
    const error = await rejection(retry(failing(GOOD), { ...policy, signal: AbortSignal.abort() }))
    expect(error).toMatchObject({ kind: 'aborted', attempts: [] })
    expect(calledAtMs).toEqual([])
  })

  it("pass on the function's own AbortError, which is not the caller's", async () => {
    const { clock, policy, failing } = bench()
    const error = new DOMException('a fetch of its own', 'AbortError')
    await expect(failureOf(clock, retry(failing(error), policy))).resolves.toBe(error)
    expect(callReport(error)?.attempts).toMatchObject([{ outcome: 'aborted' }])
  })

  it('are the deadline where the function has not failed: a CallError', async () => {
    const { clock, policy } = bench()
    const hang = () => new Promise<never>(() => {})
    const error = await failureOf(clock, retry(hang, { ...policy, deadlineMs: 2_000 }))
    expect(error).toBeInstanceOf(CallError)
    expect(error).toMatchObject({ kind: 'deadline', cause: { name: 'TimeoutError' } })
    expect(callReport(error)?.attempts).toMatchObject([{ outcome: 'deadline', durationMs: 2_000 }])
  })

  it("throw the function's error where it had failed before the deadline", async () => {
    const { clock, policy } = bench()
    const first = reset()
    const work = retry(
      ({ attempt }) => (attempt === 1 ? Promise.reject(first) : new Promise<never>(() => {})),
      { ...policy, deadlineMs: 2_000 },
    )
    await expect(failureOf(clock, work)).resolves.toBe(first)
    expect(callReport(first)).toMatchObject({
      outcome: 'deadline',
      attempts: [{ outcome: 'network' }, { outcome: 'deadline' }],
    })
  })

  it('let no wait begin that could not end before the deadline', async () => {
    const { clock, policy, failing } = bench()
    const error = reset()
    const times = { deadlineMs: 2_000, delayForAttempt: () => 1_751 }
    await expect(rejection(retry(failing(error), { ...policy, ...times }))).resolves.toBe(error)
    expect(clock.pending).toBe(0)
    expect(callReport(error)).toMatchObject({ reason: 'deadline', attempts: [{}] })
  })

  it('give every attempt its time, and say so when the last had too little', async () => {
    const { clock, policy } = bench()
    const hang = () => new Promise<never>(() => {})
    const error = await failureOf(clock, retry(hang, { ...policy, attemptTimeoutMs: 700 }))
    expect(error).toBeInstanceOf(CallError)
    expect(error).toMatchObject({ kind: 'timeout', cause: { name: 'TimeoutError' } })
    const { attempts = [] } = callReport(error) ?? {}
    expect(attempts.map(({ outcome, durationMs }) => [outcome, durationMs])).toEqual([
      ['timeout', 700],
      ['timeout', 700],
      ['timeout', 700],
    ])
  })

  it('are the time of the last attempt, also where one before failed by itself', async () => {
    const { clock, policy } = bench()
    const work = retry(
      ({ attempt }) => (attempt === 1 ? Promise.reject(reset()) : new Promise<never>(() => {})),
      { ...policy, maxAttempts: 2, attemptTimeoutMs: 700 },
    )
    await expect(failureOf(clock, work)).resolves.toMatchObject({
      name: 'CallError',
      kind: 'timeout',
    })
  })

  it('leave an attempt all the time of the deadline where none is set for it', async () => {
    const { clock, policy } = bench()
    const slow = () =>
      new Promise<string>((resolve) => {
        clock.schedule(599_999, () => resolve('at last'))
      })
    await expect(finish(clock, retry(slow, policy))).resolves.toBe('at last')
  })
})

describe('the classify of retry', () => {
  it.each(KINDS)('is obeyed for %s when it says that it can be retried', async (kind) => {
    const { clock, policy, failing, calledAtMs } = bench()
    const error = new CallError({ kind, message: kind })
    const classify = () => ({ retryable: true })
    const work = retry(failing(error), { ...policy, classify, maxAttempts: 4 })
    await expect(failureOf(clock, work)).resolves.toBe(error)
    expect(calledAtMs).toHaveLength(4)
  })

  it.each(KINDS)('is obeyed for %s when it says that it cannot', async (kind) => {
    const { clock, policy, failing, calledAtMs } = bench()
    const error = new CallError({ kind, message: kind, retryable: true })
    const classify = () => ({ retryable: false })
    await expect(failureOf(clock, retry(failing(error), { ...policy, classify }))).resolves.toBe(
      error,
    )
    expect(calledAtMs).toHaveLength(1)
    // A bad answer of a model is none of a function's failures.
    const isBadAnswer = kind === 'malformed_output' || kind === 'schema_mismatch'
    const outcome = isBadAnswer ? 'unknown' : kind
    expect(callReport(error)?.attempts).toMatchObject([{ outcome, retryable: false }])
  })

  it.each(['schema_mismatch', 'malformed_output'] as const)(
    'is classifyError by default: %s is no reason to run a function again',
    async (kind) => {
      const { clock, policy, failing } = bench()
      const error = new CallError({ kind, message: kind })
      await expect(failureOf(clock, retry(failing(error), policy))).resolves.toBe(error)
      expect(callReport(error)?.attempts).toMatchObject([{ outcome: 'unknown', code: kind }])
    },
  )

  it('is asked with the error itself, and not about what we ended', async () => {
    const { clock, policy } = bench()
    const seen: unknown[] = []
    const classify = (thrown: unknown) => {
      seen.push(thrown)
      return { retryable: true }
    }
    const error = new Error('x')
    const work = retry(
      ({ attempt }) => (attempt === 1 ? new Promise<never>(() => {}) : Promise.reject(error)),
      { ...policy, classify, maxAttempts: 2, attemptTimeoutMs: 500 },
    )
    await expect(failureOf(clock, work)).resolves.toBe(error)
    expect(seen).toEqual([error])
  })

  it('names a reason that becomes the code of the attempt, if it is an identifier', async () => {
    const { clock, policy, failing, events } = bench()
    const reasons = ['40001', 'row of Ada Lovelace is locked', 'x'.repeat(101)]
    const classify = (thrown: unknown) => ({
      retryable: true,
      reason: reasons[Number(Reflect.get(Object(thrown), 'number'))] ?? '',
    })
    const errors = reasons.map((_, number) => Object.assign(new Error('x'), { number }))
    const error = await failureOf(clock, retry(failing(...errors), { ...policy, classify }))
    const codes = [{ code: '40001' }, {}, {}]
    const shown = (attempts: readonly { readonly code?: string }[] = []) =>
      attempts.map(({ code }) => (code === undefined ? {} : { code }))
    expect(shown(callReport(error)?.attempts)).toEqual(codes)
    const ended = events.flatMap((event) => (event.type === 'attempt-ended' ? [event.attempt] : []))
    expect(shown(ended)).toEqual(codes)
    expect(JSON.stringify(events)).not.toContain('Ada')
  })

  const needed =
    'it must return { retryable: boolean, reason?: string, retryAfterMs?: milliseconds from 0 }'
  const allowed = needed.slice('it '.length)

  it.each<[string, () => unknown, string]>([
    ['nothing', () => undefined, `retry(): classify ${allowed}, got undefined`],
    ['a boolean', () => true, `retry(): classify ${allowed}, got true`],
    ['an object without retryable', () => ({}), `retry(): classify ${allowed}, got an object`],
    ['a retryable that is a word', () => ({ retryable: 'yes' }), 'got an object'],
    ['a promise', () => Promise.reject(new Error('late')), 'got an object'],
    ['a hint of NaN', () => ({ retryable: true, retryAfterMs: NaN }), 'got an object'],
    ['an object that cannot be read', unreadable, 'got an object'],
    ['a negative hint', () => ({ retryable: true, retryAfterMs: -1 }), 'got an object'],
    ['a hint that is a word', () => ({ retryable: true, retryAfterMs: '5' }), 'got an object'],
    [
      'an error',
      () => {
        throw new RangeError('a row of the customer Ada')
      },
      `retry(): classify threw RangeError; ${needed}`,
    ],
  ])('ends the call with a TypeError when it gives %s', async (_, classify, message) => {
    const { policy, failing, calledAtMs } = bench()
    const original = reset()
    const error = await rejection(
      Reflect.apply(retry, undefined, [failing(original), { ...policy, classify }]),
    )
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toContain(message)
    expect(String(error)).not.toContain('Ada')
    expect(error).toMatchObject({ cause: original })
    expect(callReport(error)?.attempts).toMatchObject([{ number: 1 }])
    expect(calledAtMs).toEqual([0])
  })

  it.each<[unknown, string]>([
    [NaN, 'NaN'],
    [-1, '-1'],
    [Infinity, 'Infinity'],
    ['100', "'100'"],
    [undefined, 'undefined'],
    [Promise.resolve(5), 'an object'],
  ])('ends the call with a TypeError when delayForAttempt gives %s', async (answer, got) => {
    const { clock, policy, failing, calledAtMs } = bench()
    const original = reset()
    const delayForAttempt = (attempt: number) => (attempt === 1 ? 10 : answer)
    const error = await failureOf(
      clock,
      Reflect.apply(retry, undefined, [failing(original), { ...policy, delayForAttempt }]),
    )
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({
      message: `retry(): delayForAttempt(2) must return a number of milliseconds from 0, got ${got}`,
      cause: original,
    })
    expect(calledAtMs).toEqual([0, 10])
  })

  it('has what it threw itself beside the error it was asked about', async () => {
    const { clock, policy, failing } = bench()
    const thrown = new RangeError('x')
    const delayForAttempt = () => {
      throw thrown
    }
    const original = reset()
    const work = retry(failing(original), { ...policy, delayForAttempt })
    await expect(failureOf(clock, work)).resolves.toMatchObject({ cause: original, thrown })
  })
})

describe('what retry tells', () => {
  it('is every decision, under its name', async () => {
    const { clock, policy, failing, events } = bench(0.5)
    const work = retry(failing(reset(), broken(400)), { ...policy, name: 'load-orders' })
    await failureOf(clock, work)
    expect(events.map(({ type }) => type)).toEqual([
      'attempt-started',
      'attempt-ended',
      'retry-scheduled',
      'attempt-started',
      'attempt-ended',
      'call-stopped',
      'call-settled',
    ])
    expect(new Set(events.map(({ operation }) => operation))).toEqual(new Set(['load-orders']))
    expect(events[2]).toMatchObject({ kind: 'network', delayMs: 250, delaySource: 'backoff' })
    expect(events[5]).toMatchObject({ reason: 'not_retryable', kind: 'invalid_request' })
  })

  it('is one span for the call and one for each attempt', async () => {
    const exporter = new InMemorySpanExporter()
    const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
    context.setGlobalContextManager(new AsyncLocalStorageContextManager())
    trace.setGlobalTracerProvider(provider)
    onTestFinished(async () => {
      await provider.shutdown()
      trace.disable()
      context.disable()
    })
    const { clock, policy, failing } = bench()
    await finish(clock, retry(failing(reset(), GOOD), { ...policy, name: 'load-orders' }))
    const spans = exporter.getFinishedSpans()
    expect(spans.map(({ name }) => name)).toEqual([
      'attempt load-orders',
      'attempt load-orders',
      'run load-orders',
    ])
    expect(spans[2]?.events.map(({ name }) => name)).toContain('steadycall.retry.scheduled')
  })

  it('cannot change the call when the listener throws', async () => {
    const { clock, policy, failing } = bench()
    const onEvent = () => {
      throw new Error('a bug of the listener')
    }
    const work = retry(failing(reset(), GOOD), { ...policy, onEvent })
    await expect(finish(clock, work)).resolves.toBe('attempt 2')
  })
})

describe('retry around another steadycall layer', () => {
  it('does not multiply the requests of a wrapped client', async () => {
    const { server, llm } = await setUp(
      { perCall: () => [overloaded(), overloaded(), overloaded()] },
      { maxAttempts: 3 },
    )
    let calls = 0
    const error = await rejection(
      retry(
        () => {
          calls++
          return llm.chat.completions.create(ask('hi'))
        },
        { classify: () => ({ retryable: true }) },
      ),
    )
    expect(error).toBeInstanceOf(OpenAI.InternalServerError)
    expect([calls, server.count]).toEqual([1, 3])
    // The layer that retried has told its attempts.
    expect(callReport(error)).toMatchObject({ operation: 'chat', attempts: [{}, {}, {}] })
  })

  it('leaves the report of a completion as the call inside wrote it', async () => {
    const { llm } = await setUp({ perCall: [overloaded()] })
    const completion = await retry(() => llm.chat.completions.create(ask('hi')))
    expect(callReport(completion)).toMatchObject({ operation: 'chat', attempts: [{}, {}] })
  })

  it("lets a bare openai client's own retries rest inside a wrapped one", async () => {
    const server = await startServer({ perCall: () => [overloaded(), overloaded(), overloaded()] })
    const client = clientFor(server)
    steady(client, { runtime: createRuntime() })
    const runtime = patientRuntime()
    await rejection(retry(() => client.chat.completions.create(ask('hi')), { runtime }))
    expect(server.count).toBe(3)
  })

  it('does not multiply itself', async () => {
    const { clock, policy, failing, calledAtMs } = bench()
    const error = reset()
    const inner = { ...policy, name: 'inner' }
    const work = retry(() => retry(failing(error), inner), policy)
    await expect(failureOf(clock, work)).resolves.toBe(error)
    expect(calledAtMs).toHaveLength(3)
    expect(callReport(error)).toMatchObject({ operation: 'inner', attempts: [{}, {}, {}] })
  })

  it('retries an error again that an earlier call gave up, where no layer is around', async () => {
    const { clock, policy, failing, calledAtMs } = bench()
    const always = reset()
    await failureOf(clock, retry(failing(always), policy))
    await failureOf(clock, retry(failing(always), { ...policy, name: 'again' }))
    expect(calledAtMs).toHaveLength(6)
    expect(callReport(always)).toMatchObject({ operation: 'again' })
  })

  it('hands its deadline down', async () => {
    const { clock, policy } = bench()
    const { llm } = await setUp({}, policy)
    let inner: Promise<unknown> | undefined
    const work = retry(
      () => {
        inner = rejection(llm.run('inner', () => new Promise(() => {})))
        return inner
      },
      { ...policy, deadlineMs: 1_000 },
    )
    await failureOf(clock, work)
    await expect(inner).resolves.toMatchObject({ kind: 'deadline' })
  })
})

describe('a policy of retry is refused', () => {
  it.each([
    [{ maxAttempts: 0 }, 'retry(): maxAttempts must be an integer from 1 to 10, got 0'],
    [{ maxAttempts: 11 }, 'retry(): maxAttempts must be an integer from 1 to 10, got 11'],
    [{ maxAttempts: 2.5 }, 'retry(): maxAttempts must be an integer from 1 to 10, got 2.5'],
    [{ classify: 'all' }, "retry(): classify must be a function, got 'all'"],
    [{ delayForAttempt: 100 }, 'retry(): delayForAttempt must be a function, got 100'],
    [
      { maxWaitMs: -1 },
      'retry(): maxWaitMs must be a number of milliseconds from 0 to 1000000000000 (as long as the deadline: the value of deadlineMs), got -1',
    ],
    [{ deadlineMs: 0 }, 'retry(): deadlineMs must be a positive number of milliseconds, got 0'],
    [{ attemptTimeoutMs: NaN }, 'retry(): attemptTimeoutMs must be a positive number'],
    [{ signal: {} }, 'retry(): signal must be an AbortSignal, got an object'],
    [{ onEvent: 1 }, 'retry(): onEvent must be a function, got 1'],
    [{ runtime: {} }, 'retry(): runtime must be a Runtime made by createRuntime(), got an object'],
    [{ name: '' }, "retry(): name must be a string of 1 to 255 characters, got ''"],
    [{ retries: 2 }, "retry(): unknown option 'retries'"],
    [{ maxAttempt: 2 }, "retry(): unknown option 'maxAttempt'; did you mean 'maxAttempts'?"],
    [null, 'retry(): options must be an object, got null'],
    [3, 'retry(): options must be an object, got 3'],
  ])('%j: by name, with what is allowed', async (policy, message) => {
    const error = await retryWith(policy)
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toContain(message)
  })

  it('when the function is none', async () => {
    const error = await rejection(Reflect.apply(retry, undefined, [{ maxAttempts: 3 }]))
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toContain('retry(): the first argument must be a function, got an object')
  })

  it('but takes undefined as "use the default"', async () => {
    const policy: { [name in keyof RetryPolicy]: undefined } = {
      maxAttempts: undefined,
      classify: undefined,
      delayForAttempt: undefined,
      signal: undefined,
      runtime: undefined,
      name: undefined,
    }
    await expect(Reflect.apply(retry, undefined, [() => 1, policy])).resolves.toBe(1)
  })
})
