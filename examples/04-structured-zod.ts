// #region zod
import OpenAI from 'openai'
import { steady } from 'steadycall'
import { z } from 'zod'

const Invoice = z.object({
  number: z.string(),
  due: z.iso.date().transform((date) => new Date(date)),
  lines: z.array(z.object({ text: z.string(), cents: z.int() })).min(1),
})

const llm = steady(new OpenAI(), { onTruncated: 'extend' })

const { value: invoice } = await llm.json({
  model: 'gpt-5-mini',
  messages: [{ role: 'user', content: 'Invoice 7, due 1 March 2027: one lamp, 19.90.' }],
  schema: Invoice,
  max_completion_tokens: 500,
})
const total = invoice.lines.reduce((sum, { cents }) => sum + cents, 0)
console.log(`${invoice.number}: ${total} cents by ${invoice.due.getUTCFullYear()}`)
// #endregion
