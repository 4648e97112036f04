import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, jsonSchema, Output, streamText } from 'ai'
import type { Peer } from '../peer.ts'
import { MODEL, messagesOf, TICKET_SCHEMA } from '../ticket.ts'

export const peer: Peer = {
  name: 'ai',
  setUp:
    'generateText and streamText with @ai-sdk/openai-compatible, which retry twice; it has no timeout per request, so three of them and its waits for a whole call; structured: Output.object(jsonSchema(…)), checked with AJV as its documentation shows.',
  packages: ['ai', '@ai-sdk/openai-compatible'],
  async create({ baseURL, timeoutMs }) {
    // It writes every warning to the console otherwise.
    Reflect.set(globalThis, 'AI_SDK_LOG_WARNINGS', false)
    const provider = createOpenAICompatible({
      name: 'bench',
      baseURL,
      apiKey: 'bench',
      supportsStructuredOutputs: true,
    })
    const model = provider.chatModel(MODEL)
    // Its limit of a step is one for all requests of it: three, and 2 + 4 s between them.
    const limit =
      timeoutMs === undefined
        ? {}
        : {
            timeout: { stepMs: 3 * timeoutMs + 6_000, firstChunkMs: timeoutMs, chunkMs: timeoutMs },
          }
    const { Ajv } = await import('ajv')
    const validate = new Ajv().compile(TICKET_SCHEMA)
    const schema = jsonSchema(TICKET_SCHEMA, {
      validate: (value) =>
        validate(value)
          ? { success: true, value }
          : { success: false, error: new Error('not the schema') },
    })
    const asked = (question: string) => {
      const [system, user] = messagesOf(question)
      return { model, instructions: system?.content ?? '', prompt: user?.content ?? '', ...limit }
    }
    return {
      plain: async (question) => (await generateText(asked(question))).text,
      structured: async (question) =>
        (await generateText({ ...asked(question), output: Output.object({ schema }) })).output,
      async stream(question) {
        let failure: unknown
        const { textStream } = streamText({
          ...asked(question),
          onError({ error }) {
            failure = error
          },
          onAbort() {
            failure ??= new Error('aborted')
          },
        })
        let text = ''
        for await (const piece of textStream) text += piece
        if (failure !== undefined) throw failure
        return text
      },
    }
  },
}
