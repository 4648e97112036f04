import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { AsyncCaller } from '@langchain/core/utils/async_caller'
import { StandardRetryStrategy } from '@smithy/core/retry'
import { generateText } from 'ai'
import OpenAI from 'openai'
import pRetry from 'p-retry'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { ModelledClient } from '../../bench/storm/modelled-client.ts'
import { policyNamed } from '../../bench/storm/policies.ts'
import type { Answer, Provider } from '../../bench/storm/provider.ts'
import { VirtualTime } from '../../bench/storm/virtual-time.ts'
import { ask } from '../support/set-up.ts'

type Reply = Answer | 'silence'

const REPLIES: Readonly<Record<string, Reply>> = {
  'a 500': { status: 500 },
  'a 503': { status: 503 },
  'a 503 with a hint of 3 s': { status: 503, retryAfterMs: 3_000 },
  'a 429 without a hint': { status: 429 },
  'a 429 with a hint of 3 s': { status: 429, retryAfterMs: 3_000 },
  'a 429 with a hint of 59 s': { status: 429, retryAfterMs: 59_000 },
  'a 429 with a hint of 90 s': { status: 429, retryAfterMs: 90_000 },
  'no answer in time': 'silence',
}

const ATTEMPT_TIMEOUT_MS = 10_000
// Makes every delay a whole number of milliseconds.
const RANDOM = 0.4

type Call = (fetch: typeof globalThis.fetch) => Promise<unknown>

const baseURL = 'http://localhost/v1'
const openai: Call = (fetch) => {
  const client = new OpenAI({ apiKey: 'k', baseURL, fetch, timeout: ATTEMPT_TIMEOUT_MS })
  return client.chat.completions.create(ask('hello'))
}
const once: Call = (fetch) => {
  const options = { timeout: ATTEMPT_TIMEOUT_MS, maxRetries: 0 }
  return new OpenAI({ apiKey: 'k', baseURL, fetch, ...options }).chat.completions.create(ask('hi'))
}
const aiSdk: Call = (fetch) => {
  const provider = createOpenAICompatible({ name: 'p', baseURL, fetch })
  return generateText({ model: provider('gpt-test'), prompt: 'hello' })
}
/** As @langchain/openai does it: its client's own retries are off. */
const langChain: Call = (fetch) => new AsyncCaller({}).call(() => once(fetch))
/** What the AWS SDKs' retry middleware asks of its strategy. */
const aws: Call = async (fetch) => {
  const strategy = new StandardRetryStrategy(3)
  let token = await strategy.acquireInitialRetryToken('')
  for (;;) {
    try {
      return await once(fetch)
    } catch (error) {
      const isRefused = error instanceof OpenAI.APIError && error.status !== undefined
      const hint = isRefused && error.headers?.get('retry-after')
      token = await strategy.refreshRetryTokenForRetry(token, {
        errorType: isRefused && error.status === 429 ? 'THROTTLING' : 'TRANSIENT',
        ...(hint && { retryAfterHint: new Date(Date.now() + 1_000 * Number(hint)) }),
      })
    }
  }
}

describe('the modelled policies send their requests when the packages do, after', () => {
  const packages: readonly (readonly [string, Call])[] = [
    ['openai', openai],
    ['AI SDK', aiSdk],
    ['LangChain', langChain],
    ['p-retry', (fetch) => pRetry(() => once(fetch))],
    ['nested 9', (fetch) => pRetry(() => openai(fetch), { retries: 2 })],
    [
      'nested 27',
      (fetch) => pRetry(() => pRetry(() => openai(fetch), { retries: 2 }), { retries: 2 }),
    ],
    ['AWS 2026', aws],
  ]
  it.each(
    packages.flatMap(([policy, call]) =>
      Object.entries(REPLIES).map(([what, reply]) => ({ policy, call, what, reply })),
    ),
  )('$what: $policy', async ({ policy, call, reply }) => {
    const real = await sentAtMs(call, reply)
    expect(real.length).toBeGreaterThan(0)
    expect(await modelledAtMs(policy, reply)).toEqual(real)
  })
})

/** When a package sends its requests, in milliseconds from the first, if each gets this reply. */
async function sentAtMs(call: Call, reply: Reply): Promise<number[]> {
  vi.useFakeTimers()
  vi.spyOn(Math, 'random').mockReturnValue(RANDOM)
  onTestFinished(() => {
    vi.useRealTimers()
    vi.restoreAllMocks()
  })
  const startedMs = Date.now()
  const sent: number[] = []
  const fetch = (_url: unknown, init?: RequestInit) => {
    sent.push(Date.now() - startedMs)
    return reply === 'silence' ? silent(init?.signal) : Promise.resolve(responseOf(reply))
  }
  const ended = call(fetch).then(
    () => 'succeeded',
    () => 'failed',
  )
  await vi.advanceTimersByTimeAsync(1_800_000)
  expect(await ended).toBe('failed')
  return sent
}

/** Ends by the signal, or else as `AbortSignal.timeout()` would end it. */
function silent(signal: AbortSignal | null | undefined): Promise<Response> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason))
    setTimeout(() => reject(new DOMException('', 'TimeoutError')), ATTEMPT_TIMEOUT_MS)
  })
}

function responseOf({ status, retryAfterMs }: Answer): Response {
  const headers = retryAfterMs === undefined ? {} : { 'retry-after': `${retryAfterMs / 1_000}` }
  return Response.json({ error: { message: 'no' } }, { status, headers })
}

async function modelledAtMs(name: string, reply: Reply): Promise<number[]> {
  const policy = policyNamed(name)
  if (!('modelled' in policy)) throw new TypeError(`${name} is not modelled`)
  const time = new VirtualTime()
  const sent: number[] = []
  const provider = {
    ask(answer: (answer: Answer) => void) {
      sent.push(Math.round(time.nowMs))
      if (reply !== 'silence') time.after(0, () => answer(reply))
      return { abandon() {} }
    },
  }
  const client = new ModelledClient(
    {
      time,
      random: () => RANDOM,
      hasSecond: false,
      attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
      // All of a provider that a client sees.
      provider: () => provider as unknown as Provider,
    },
    policy.modelled,
  )
  client.call(() => {})
  await time.run()
  return sent
}
