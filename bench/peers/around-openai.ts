import { Ajv } from 'ajv'
import OpenAI from 'openai'
import type { PeerClient, PeerOptions } from '../peer.ts'
import { MODEL, messagesOf, RESPONSE_FORMAT, TICKET_SCHEMA } from '../ticket.ts'

/** Something that runs a call, perhaps more than once. */
export type Around = <T>(call: () => Promise<T>) => Promise<T>

interface AroundOptions extends PeerOptions {
  readonly maxRetries?: number
  readonly fetch?: typeof globalThis.fetch
}

/**
 * The calls that an application makes with openai, inside whatever it put around them; a structured
 * answer is read by hand: `JSON.parse`, then a compiled AJV validator, inside the same loop.
 */
export function aroundOpenAI(
  { baseURL, timeoutMs, maxRetries, fetch }: AroundOptions,
  around: Around = (call) => call(),
): PeerClient {
  const client = new OpenAI({
    apiKey: 'bench',
    baseURL,
    ...(timeoutMs !== undefined && { timeout: timeoutMs }),
    ...(maxRetries !== undefined && { maxRetries }),
    ...(fetch !== undefined && { fetch }),
  })
  const validate = new Ajv().compile(TICKET_SCHEMA)
  return {
    plain: (question) =>
      around(async () => {
        const completion = await client.chat.completions.create({
          model: MODEL,
          messages: messagesOf(question),
        })
        return textOf(completion)
      }),
    structured: (question) =>
      around(async () => {
        const completion = await client.chat.completions.create({
          model: MODEL,
          messages: messagesOf(question),
          response_format: RESPONSE_FORMAT,
        })
        const value: unknown = JSON.parse(textOf(completion))
        if (!validate(value)) throw new Error('not the schema')
        return value
      }),
    stream: (question) =>
      around(async () => {
        const stream = await client.chat.completions.create({
          model: MODEL,
          messages: messagesOf(question),
          stream: true,
        })
        return streamedText(stream)
      }),
  }
}

/** The text of a streamed answer. */
export async function streamedText(
  stream: AsyncIterable<OpenAI.Chat.ChatCompletionChunk>,
): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  return text
}

/** The answer's text. One that has none is an error here, though it is a success to openai. */
export function textOf({ choices }: OpenAI.Chat.ChatCompletion): string {
  const content = choices[0]?.message.content
  if (typeof content !== 'string') throw new Error('an answer without text')
  return content
}
