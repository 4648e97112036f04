import type OpenAI from 'openai'
import {
  type CallOptions,
  memoryStore,
  type SteadyClient,
  type SteadyOptions,
  steady,
} from '../../src/index.ts'
import type { Exchange, Fault, FaultServerOptions } from '../../src/testing/index.ts'
import { ask, patientRuntime, setUp } from './set-up.ts'

export type Chunk = OpenAI.Chat.ChatCompletionChunk
export type Chunks = AsyncIterable<Chunk>

/** Its stream is a role, eight pieces of text, a finish reason and the usage. */
export const sentence = { answer: 'a long answer, sent in many small pieces, one after the other' }

export const streamed = {
  ...ask('go on'),
  stream: true,
  stream_options: { include_usage: true },
} as const

/** Asks for the stream under a key. */
export function keyed(
  { chat }: SteadyClient<OpenAI>,
  options: CallOptions = {},
  signal?: AbortSignal,
) {
  return chat.completions.create(streamed, {
    ...(signal && { signal }),
    steady: { idempotencyKey: 'k', ...options },
  })
}

export async function chunksOf(stream: Chunks | PromiseLike<Chunks>): Promise<Chunk[]> {
  const chunks = []
  for await (const chunk of await stream) chunks.push(chunk)
  return chunks
}

export function textIn(chunks: readonly Chunk[]): string {
  return chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')
}

export interface HeldStream {
  readonly fault: Fault
  /** Lets it go on. */
  go(): void
}

/** Streams some pieces of the text and waits; then sends the rest, or cuts the connection. */
export function heldStream(afterPieces: number, then: 'finish' | 'cut' = 'finish'): HeldStream {
  let go: () => void = () => {}
  const gone = new Promise<void>((resolve) => {
    go = resolve
  })
  const apply = async (exchange: Exchange) => {
    const { head, content, tail } = exchange.pieces()
    exchange.begin()
    for (const piece of [...head, ...content.slice(0, afterPieces)]) await exchange.write(piece)
    await gone
    if (then === 'cut') {
      exchange.disconnect('reset')
      return
    }
    for (const piece of [...content.slice(afterPieces), ...tail]) await exchange.write(piece)
    exchange.response.end()
  }
  return { fault: { name: 'heldStream', apply }, go: () => go() }
}

/** Two processes on one store, and one server. */
export async function twoProcesses(plan: FaultServerOptions, options: SteadyOptions = {}) {
  const store = memoryStore()
  const { client, llm, server } = await setUp(plan, { store, ...options })
  const runtime = patientRuntime()
  const elsewhere = steady(client, { store, ...options, runtime })
  return { llm, elsewhere, server }
}
