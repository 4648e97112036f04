import { Ajv } from 'ajv'
import { jsonrepair } from 'jsonrepair'
import OpenAI from 'openai'
import type { Peer } from '../peer.ts'
import { MODEL, messagesOf, RESPONSE_FORMAT, TICKET_SCHEMA } from '../ticket.ts'
import { aroundOpenAI, textOf } from './around-openai.ts'

export const peer: Peer = {
  name: 'openai, jsonrepair',
  setUp: 'new OpenAI(); structured: response_format, jsonrepair, JSON.parse, AJV.',
  packages: ['openai', 'jsonrepair', 'ajv'],
  create(options) {
    const { baseURL, timeoutMs } = options
    const client = new OpenAI({
      apiKey: 'bench',
      baseURL,
      ...(timeoutMs !== undefined && { timeout: timeoutMs }),
    })
    const validate = new Ajv().compile(TICKET_SCHEMA)
    return {
      ...aroundOpenAI(options),
      async structured(question) {
        const completion = await client.chat.completions.create({
          model: MODEL,
          messages: messagesOf(question),
          response_format: RESPONSE_FORMAT,
        })
        const value: unknown = JSON.parse(jsonrepair(textOf(completion)))
        if (!validate(value)) throw new Error('not the schema')
        return value
      },
    }
  },
}
