import { Ajv } from 'ajv'
import type { Peer } from '../peer.ts'
import { MODEL, messagesOf, RESPONSE_FORMAT, TICKET_SCHEMA } from '../ticket.ts'

interface Completion {
  readonly choices: readonly { readonly message: { readonly content: string } }[]
}

export const peer: Peer = {
  name: 'fetch',
  setUp: 'Node’s own fetch, the body parsed; structured: JSON.parse and a compiled AJV validator.',
  packages: ['ajv'],
  create({ baseURL, timeoutMs }) {
    const validate = new Ajv().compile(TICKET_SCHEMA)
    const ask = async (body: object) => {
      const response = await fetch(`${baseURL}/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer bench' },
        body: JSON.stringify({ model: MODEL, ...body }),
        ...(timeoutMs !== undefined && { signal: AbortSignal.timeout(timeoutMs) }),
      })
      if (!response.ok) throw new Error(`status ${response.status}`)
      // What a hand-written client takes on trust.
      const { choices } = (await response.json()) as Completion
      const content = choices[0]?.message.content
      if (typeof content !== 'string') throw new Error('an answer without text')
      return content
    }
    return {
      plain: (question) => ask({ messages: messagesOf(question) }),
      async structured(question) {
        const text = await ask({
          messages: messagesOf(question),
          response_format: RESPONSE_FORMAT,
        })
        const value: unknown = JSON.parse(text)
        if (!validate(value)) throw new Error('not the schema')
        return value
      },
    }
  },
}
