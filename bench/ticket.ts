/** What every client is asked for: the support ticket in a mail. JSON Schema for those who take it. */
export const TICKET_SCHEMA = {
  type: 'object',
  properties: {
    category: { type: 'string', enum: ['billing', 'bug', 'account', 'question'] },
    priority: { type: 'integer' },
    summary: { type: 'string' },
    refund: { type: 'boolean' },
  },
  required: ['category', 'priority', 'summary', 'refund'],
  additionalProperties: false,
} as const

/** What the server says when it answers well. */
export const TICKET = {
  category: 'billing',
  priority: 2,
  summary: 'Charged twice for March; the invoice page is blank.',
  refund: true,
} as const

export const TICKET_TEXT = JSON.stringify(TICKET)

export const MODEL = 'gpt-bench'

/** A conversation whose first user message names the call: the fault server tells calls apart by it. */
export function messagesOf(question: string) {
  return [
    { role: 'system' as const, content: 'Extract the support ticket as JSON.' },
    { role: 'user' as const, content: question },
  ]
}

export const RESPONSE_FORMAT = {
  type: 'json_schema' as const,
  json_schema: { name: 'ticket', strict: true, schema: TICKET_SCHEMA },
}
