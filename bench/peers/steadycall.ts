import OpenAI from 'openai'
import { createRuntime, steady } from '../../src/index.ts'
import type { Peer, PeerClient, PeerOptions } from '../peer.ts'
import { MODEL, messagesOf, TICKET_SCHEMA } from '../ticket.ts'
import { streamedText, textOf } from './around-openai.ts'

export const peer: Peer = {
  name: 'steadycall',
  setUp: 'steady(new OpenAI()); structured: llm.json.',
  packages: ['openai'],
  create: (options) => aroundSteady(options),
}

/** On the client's own fetch, or on another. */
export function aroundSteady(
  { baseURL, timeoutMs }: PeerOptions,
  fetch?: typeof globalThis.fetch,
): PeerClient {
  const client = new OpenAI({
    apiKey: 'bench',
    baseURL,
    ...(timeoutMs !== undefined && { timeout: timeoutMs }),
    ...(fetch !== undefined && { fetch }),
  })
  const llm = steady(client, { runtime: createRuntime() })
  return {
    plain: async (question) =>
      textOf(await llm.chat.completions.create({ model: MODEL, messages: messagesOf(question) })),
    structured: async (question) =>
      (
        await llm.json({
          model: MODEL,
          messages: messagesOf(question),
          schema: TICKET_SCHEMA,
        })
      ).value,
    async stream(question) {
      const stream = await llm.chat.completions.create({
        model: MODEL,
        messages: messagesOf(question),
        stream: true,
      })
      return streamedText(stream)
    },
  }
}
