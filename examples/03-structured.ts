// #region structured
import OpenAI from 'openai'
import { steady } from 'steadycall'

const llm = steady(new OpenAI())

const { value, attempts, repairs } = await llm.json({
  model: 'gpt-5-mini',
  messages: [{ role: 'user', content: 'Make a ticket of: "Printer on floor 3 is burning!"' }],
  schema: {
    type: 'object',
    properties: {
      subject: { type: 'string' },
      floor: { type: 'integer' },
      priority: { type: 'string', enum: ['low', 'normal', 'urgent'] },
    },
    required: ['subject', 'floor', 'priority'],
    additionalProperties: false,
  },
})
console.log(`${value.priority}, floor ${value.floor}: ${value.subject}`)
// #endregion

// #region what-it-took
for (const { cause, outcome } of attempts) console.log(`${cause}: ${outcome}`)
for (const { path, rule } of repairs) console.log(`${rule} at ${path || 'the whole answer'}`)
// #endregion
