import type OpenAI from 'openai'
import type { AzureOpenAI } from 'openai'
import type OpenAI6 from 'openai-v6'
import { describe, expectTypeOf, it, type MockedObject, vi } from 'vitest'
import { z } from 'zod'
import {
  type CallOptions,
  type CallSettings,
  type ChatClient,
  type classifyError,
  type GuardOptions,
  type JsonResult,
  type RetryContext,
  type RetryPolicy,
  type RetryVerdict,
  retry,
  runIdempotent,
  type SteadyClient,
  type SteadyOptions,
  type Store,
  steady,
} from '../src/index.ts'
import { oneOf, type Row } from '../src/options/option-check.ts'
import type { ResolvedCall } from '../src/options/options.ts'

// Judged by tsc; nothing here runs against a provider.
declare const llm: SteadyClient<OpenAI>
declare const store: Store
const messages = [{ role: 'user' as const, content: 'hi' }]

/** Checked, never called. */
function types(check: () => unknown): void {
  expectTypeOf(check).toBeFunction()
}

describe('the types', () => {
  it('take every openai client', () => {
    expectTypeOf<OpenAI>().toExtend<ChatClient>()
    expectTypeOf<AzureOpenAI>().toExtend<ChatClient>()
    expectTypeOf<OpenAI6>().toExtend<ChatClient>()
  })

  it("take a test's double, and give it openai's create", () =>
    types(async () => {
      const create = vi.fn()
      const double = steady({ chat: { completions: { create } } })
      const completion = await double.chat.completions.create({ model: 'm', messages })
      expectTypeOf(completion).toExtend<OpenAI.Chat.ChatCompletion>()
      expectTypeOf(double.chat.completions.create.mock).toEqualTypeOf(create.mock)
      const { value } = await double.json({ model: 'm', messages, schema: z.number() })
      expectTypeOf(value).toBeNumber()
      expectTypeOf<MockedObject<OpenAI>>().toExtend<ChatClient>()
      expectTypeOf<{
        chat: { completions: { create: (...args: unknown[]) => unknown } }
      }>().toExtend<ChatClient>()
      // @ts-expect-error: nothing to call
      steady({ chat: { completions: {} } })
      // @ts-expect-error: a class is no client
      steady(null as unknown as typeof OpenAI)
      // @ts-expect-error: nor is a promise of one
      steady(Promise.resolve(llm))
    }))

  it('leave the wrapped client usable wherever the client is', () => {
    expectTypeOf<SteadyClient<OpenAI>>().toExtend<OpenAI>()
    expectTypeOf<SteadyClient<AzureOpenAI>>().toExtend<AzureOpenAI>()
  })

  it('infer the value of json from a literal JSON Schema', () =>
    types(async () => {
      const { value, completion } = await llm.json({
        model: 'm',
        messages,
        schema: {
          type: 'object',
          properties: {
            name: { type: 'string' },
            size: { enum: ['s', 'm'] },
            tags: { type: 'array', items: { type: 'string' } },
          },
          required: ['name', 'size'],
          additionalProperties: false,
        },
      })
      expectTypeOf(value).toEqualTypeOf<{ name: string; size: 's' | 'm'; tags?: string[] }>()
      expectTypeOf(completion).toEqualTypeOf<OpenAI.Chat.ChatCompletion>()
    }))

  it('infer the value of json from zod, after its transforms', () =>
    types(async () => {
      const schema = z.object({ day: z.string().transform((text) => new Date(text)) })
      const result = await llm.json({ model: 'm', messages, schema })
      expectTypeOf(result).toEqualTypeOf<JsonResult<{ day: Date }>>()
    }))

  it('promise nothing about a schema that is not known at compile time', () =>
    types(async () => {
      const schema: Record<string, unknown> = {}
      expectTypeOf((await llm.json({ model: 'm', messages, schema })).value).toBeUnknown()
    }))

  it('keep what openai says of create, with our options beside', () =>
    types(async () => {
      const options = { steady: { maxAttempts: 2 } }
      const completion = await llm.chat.completions.create({ model: 'm', messages }, options)
      expectTypeOf(completion).toExtend<OpenAI.Chat.ChatCompletion>()
      const stream = await llm.chat.completions.create(
        { model: 'm', messages, stream: true },
        options,
      )
      for await (const chunk of stream) {
        expectTypeOf(chunk).toEqualTypeOf<OpenAI.Chat.ChatCompletionChunk>()
      }
      // @ts-expect-error: an option that is none
      llm.chat.completions.create({ model: 'm', messages }, { steady: { maxRetries: 2 } })
    }))

  it('have each option precisely', () => {
    expectTypeOf<CallOptions['priority']>().toEqualTypeOf<'normal' | 'bulk' | undefined>()
    expectTypeOf<CallOptions['maxAttempts']>().toEqualTypeOf<number | undefined>()
    expectTypeOf<CallOptions['signal']>().toEqualTypeOf<AbortSignal | undefined>()
    expectTypeOf<SteadyOptions>().toExtend<CallSettings>()
    expectTypeOf<CallOptions>().toExtend<CallSettings>()
    expectTypeOf<GuardOptions['store']>().toEqualTypeOf<Store>()
    expectTypeOf<Pick<GuardOptions, 'operation' | 'payload'>>().toEqualTypeOf<{
      readonly operation: string
      readonly payload: unknown
    }>()
    // What a call is resolved to has each of its options.
    expectTypeOf<keyof CallOptions | 'maxHintMs'>().toEqualTypeOf<keyof ResolvedCall>()
    // @ts-expect-error: a row must accept each value of its type
    const row: Row<'normal' | 'bulk'> = oneOf('normal')
    expectTypeOf(row).toBeObject()
  })

  it('refuse what json refuses', () =>
    types(() => {
      // @ts-expect-error: an answer can only be checked whole
      llm.json({ model: 'm', messages, schema: z.object({}), stream: true })
      // @ts-expect-error: no schema
      llm.json({ model: 'm', messages })
    }))

  it("give the function's own type back from run and runIdempotent", () =>
    types(async () => {
      expectTypeOf(await llm.run('x', async ({ attempt }) => attempt)).toBeNumber()
      const guard = { store, operation: 'x', payload: 1, idempotencyKey: 'k' }
      expectTypeOf(await runIdempotent(guard, () => ({ id: 'a' }))).toEqualTypeOf<{ id: string }>()
    }))

  it("give the function's own type back from retry, and hold its policy to its shape", () =>
    types(async () => {
      expectTypeOf(await retry(async ({ attempt }) => attempt)).toBeNumber()
      expectTypeOf(await retry(() => ({ id: 'a' }), {})).toEqualTypeOf<{ id: string }>()
      expectTypeOf(await retry(({ signal }) => fetch('/', { signal }))).toEqualTypeOf<Response>()
      expectTypeOf<Parameters<Parameters<typeof retry>[0]>>().toEqualTypeOf<[RetryContext]>()
      expectTypeOf<RetryContext>().toEqualTypeOf<{
        readonly signal: AbortSignal
        readonly attempt: number
      }>()
      expectTypeOf<ReturnType<NonNullable<RetryPolicy['classify']>>>().toEqualTypeOf<RetryVerdict>()
      // A classification is a verdict.
      expectTypeOf<ReturnType<typeof classifyError>>().toExtend<RetryVerdict>()
      // @ts-expect-error: an option that is none
      void retry(() => 1, { retries: 2 })
      // @ts-expect-error: a verdict says whether
      void retry(() => 1, { classify: () => ({ reason: 'x' }) })
      // @ts-expect-error: a promise is no verdict
      void retry(() => 1, { classify: async () => ({ retryable: true }) })
      // @ts-expect-error: milliseconds
      void retry(() => 1, { delayForAttempt: () => '1s' })
      // @ts-expect-error: there is no target whose limits it could share
      void retry(() => 1, { limits: 'off' })
    }))
})
