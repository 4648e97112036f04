import { ChatOpenAI } from '@langchain/openai'
import type { Peer } from '../peer.ts'
import { MODEL, messagesOf, TICKET_SCHEMA } from '../ticket.ts'

export const peer: Peer = {
  name: '@langchain/openai',
  setUp:
    'new ChatOpenAI(), which retries 6 times; structured: withStructuredOutput(schema, { method: "jsonSchema" }).',
  packages: ['@langchain/openai', '@langchain/core', 'openai'],
  create({ baseURL, timeoutMs }) {
    const model = new ChatOpenAI({
      model: MODEL,
      apiKey: 'bench',
      configuration: { baseURL },
      ...(timeoutMs !== undefined && { timeout: timeoutMs }),
    })
    const structured = model.withStructuredOutput<Record<string, unknown>>(TICKET_SCHEMA, {
      method: 'jsonSchema',
      name: 'ticket',
    })
    return {
      plain: async (question) => (await model.invoke(messagesOf(question))).text,
      structured: (question) => structured.invoke(messagesOf(question)),
      async stream(question) {
        let text = ''
        for await (const chunk of await model.stream(messagesOf(question))) text += chunk.text
        return text
      },
    }
  },
}
