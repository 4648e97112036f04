import createInstructor from '@instructor-ai/instructor'
import OpenAI from 'openai'
import { z } from 'zod'
import type { Peer } from '../peer.ts'
import { MODEL, messagesOf } from '../ticket.ts'

// Not `.strict()`: it adds a member of its own to the answer before it checks it.
const schema = z.object({
  category: z.enum(['billing', 'bug', 'account', 'question']),
  priority: z.number().int(),
  summary: z.string(),
  refund: z.boolean(),
})

export const peer: Peer = {
  name: '@instructor-ai/instructor',
  setUp:
    'Instructor({ mode: "JSON_SCHEMA" }) around new OpenAI(), max_retries: 2; only structured.',
  packages: ['@instructor-ai/instructor', 'openai', 'zod'],
  create({ baseURL, timeoutMs }) {
    const openai = new OpenAI({
      apiKey: 'bench',
      baseURL,
      ...(timeoutMs !== undefined && { timeout: timeoutMs }),
    })
    const client = createInstructor({ client: openai, mode: 'JSON_SCHEMA', logger: () => {} })
    return {
      plain: () => Promise.reject(new Error('instructor has no plain call')),
      async structured(question) {
        const { _meta, ...value } = await client.chat.completions.create({
          model: MODEL,
          messages: messagesOf(question),
          response_model: { schema, name: 'ticket' },
          max_retries: 2,
        })
        return value
      },
    }
  },
}
