import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { callReport } from '../../../src/index.ts'
import { streamErrorEvent } from '../../../src/testing/index.ts'
import { ask, rejection, setUp } from '../../support/set-up.ts'

const streamed = { ...ask('go on'), stream: true } as const
const forms = [
  ['data', 'server_error'],
  ['event', 'server_error'],
  ['finish-reason', 'server_error'],
  ['content', 'rate_limit'],
] as const

async function textOf(stream: AsyncIterable<OpenAI.Chat.ChatCompletionChunk>) {
  let text = ''
  const error = await rejection(
    (async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
      throw new Error('it ended well')
    })(),
  )
  return { text, error }
}

describe.each(forms)('an error in a stream, as %s', (form, kind) => {
  it('before any content is retried', async () => {
    const { server, llm } = await setUp({ script: [streamErrorEvent({ form, afterChunks: 0 })] })
    const stream = await llm.chat.completions.create(streamed)
    for await (const _ of stream);
    expect(server.count).toBe(2)
    expect(callReport(stream)?.attempts.map(({ outcome }) => outcome)).toEqual([kind, 'success'])
  })

  it('after content is an error of openai’s class, and none of it is delivered as text', async () => {
    const { server, llm } = await setUp({
      answer: 'a text of several pieces, one after the other',
      script: [streamErrorEvent({ form, afterChunks: 2 })],
    })
    const stream = await llm.chat.completions.create(streamed)
    const { text, error } = await textOf(stream)
    expect(text).toBe('a text of severa'.slice(0, text.length))
    expect(text).not.toContain('{')
    expect(error).toBeInstanceOf(OpenAI.APIError)
    expect(callReport(error)).toMatchObject({ outcome: kind, reason: 'delivered' })
    expect(server.count).toBe(1)
  })
})
