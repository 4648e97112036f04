import OpenAI from 'openai'
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionCreateParamsNonStreaming,
  ChatCompletionCreateParamsStreaming,
} from 'openai/resources/chat/completions'
import OpenAIv6 from 'openai-v6'

export type Ask = Omit<ChatCompletionCreateParamsNonStreaming, 'stream'>
type Options = { signal?: AbortSignal; headers?: Record<string, string> }

/** What both majors of the openai client share. */
export interface Client {
  readonly chat: {
    readonly completions: {
      create(
        body: ChatCompletionCreateParamsStreaming,
        options?: Options,
      ): PromiseLike<AsyncIterable<ChatCompletionChunk>>
      create(
        body: ChatCompletionCreateParamsNonStreaming,
        options?: Options,
      ): PromiseLike<ChatCompletion>
    }
  }
}

/** Clients of both supported majors, with their own retries off. */
export const clients: [string, (baseURL: string) => Client][] = [
  ['openai 7', (baseURL) => new OpenAI({ apiKey: 'test', baseURL, maxRetries: 0 })],
  ['openai 6', (baseURL) => new OpenAIv6({ apiKey: 'test', baseURL, maxRetries: 0 })],
]

export const question: Ask = {
  model: 'gpt-test',
  messages: [{ role: 'user', content: 'Who wrote it?' }],
}

export interface Rejection {
  readonly error: unknown
  readonly headers?: unknown
  readonly status?: unknown
}

/** What a promise rejects with; fails the test when it does not. */
export async function rejection(promise: PromiseLike<unknown>): Promise<Rejection> {
  try {
    await promise
  } catch (error) {
    if (typeof error === 'object' && error !== null) return { ...error, error }
    throw error
  }
  throw new Error('the promise was fulfilled')
}
