import type OpenAI from 'openai'
import type { ClientOptions } from 'openai'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CallEvent, SteadyClient, SteadyOptions } from '../../../src/index.ts'
import { serverError } from '../../../src/testing/index.ts'
import { ask, person, rejection, setUp } from '../../support/set-up.ts'
import { type Recorder, startRecording } from '../telemetry/recorder.ts'

/** A `fetch` that sends what failed once more, as some HTTP libraries do. */
const retryingFetch: ClientOptions['fetch'] = async (url, init) => {
  const first = await fetch(url, init)
  return first.ok ? first : fetch(url, init)
}

/** A client that counts retries of its own in the header that we set. */
async function countingClient(client: OpenAI): Promise<void> {
  const { fetch: observed } = client as unknown as { fetch: typeof fetch }
  Object.assign(client, {
    fetch: (url: string, init: RequestInit) => {
      const headers = new Headers(init.headers)
      headers.set('x-stainless-retry-count', '7')
      return observed(url, { ...init, headers })
    },
  })
}

const failing = () => ({ perCall: Array.from({ length: 8 }, () => serverError()) })
const call = (llm: SteadyClient<OpenAI>) =>
  rejection(llm.json({ ...ask('the same'), schema: person }))

interface Way {
  readonly name: string
  readonly code: string
  readonly by: 'below' | 'above'
  readonly event: CallEvent['type']
  /** Calls until it shows. */
  readonly calls: number
  set(options: SteadyOptions): Promise<{ server: { count: number }; llm: SteadyClient<OpenAI> }>
}

const ways: readonly Way[] = [
  {
    name: 'more than one request on the wire',
    code: 'STEADYCALL_MULTIPLIED_RETRIES',
    by: 'below',
    event: 'retries-multiplied',
    calls: 1,
    set: (options) => setUp(failing(), options, { fetch: retryingFetch }),
  },
  {
    name: 'a retry-count header that we did not set',
    code: 'STEADYCALL_MULTIPLIED_RETRIES',
    by: 'below',
    event: 'retries-multiplied',
    calls: 1,
    async set(options) {
      const made = await setUp(failing(), options)
      await countingClient(made.client)
      return made
    },
  },
  {
    name: 'the same request again after it was given up',
    code: 'STEADYCALL_REPEATED_CALL',
    by: 'above',
    event: 'call-repeated',
    calls: 2,
    set: (options) => setUp(failing(), options),
  },
]

describe.each(ways)('$name', ({ code, by, event, calls, set }) => {
  let recorder: Recorder
  const warnings: { code?: string }[] = []
  const onWarning = (warning: { code?: string }) => warnings.push(warning)

  beforeEach(() => {
    recorder = startRecording()
    warnings.length = 0
    process.on('warning', onWarning)
  })

  afterEach(async () => {
    process.off('warning', onWarning)
    await recorder.stop()
  })

  it('is warned of once', async () => {
    const { llm } = await set({ maxAttempts: 1 })
    for (let index = 0; index <= calls; index += 1) await call(llm)
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(warnings.filter((warning) => warning.code === code)).toHaveLength(1)
  })

  it('is on the span and in the metric', async () => {
    const { llm } = await set({ maxAttempts: 1 })
    for (let index = 0; index < calls; index += 1) await call(llm)
    const told = recorder
      .spans()
      .flatMap(({ events }) => events)
      .filter(({ name }) => name === 'steadycall.retries.multiplied')
    expect(told.map(({ attributes }) => attributes?.['steadycall.multiplied_by'])).toEqual([by])
    const points = await recorder.points()
    expect(points.filter(({ name }) => name === 'steadycall.multiplied_retries')).toMatchObject([
      { value: 1, attributes: { 'steadycall.multiplied_by': by } },
    ])
  })

  it('is told to onEvent, frozen', async () => {
    const events: CallEvent[] = []
    const { llm } = await set({ maxAttempts: 1, onEvent: (one) => events.push(one) })
    for (let index = 0; index < calls; index += 1) await call(llm)
    const told = events.filter(({ type }) => type === event)
    expect(told).toHaveLength(1)
    expect(Object.isFrozen(told[0])).toBe(true)
  })

  it("is thrown under 'throw', and nothing more is sent", async () => {
    const { server, llm } = await set({ onMultipliedRetries: 'throw' })
    for (let index = 1; index < calls; index += 1) await call(llm)
    const sent = server.count
    expect(await call(llm)).toMatchObject({ kind: 'multiplied_retries', retryable: false })
    expect(server.count - sent).toBeLessThanOrEqual(by === 'above' ? 0 : 2)
  })
})
