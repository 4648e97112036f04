import OpenAI from 'openai'
import { callReport, isCallError, steady } from 'steadycall'

const llm = steady(new OpenAI())
const schema = { type: 'object', properties: { answer: { type: 'string' } } } as const

// #region call-error
async function ask(question: string): Promise<string | undefined> {
  const messages = [{ role: 'user' as const, content: question }]
  try {
    const { value } = await llm.json({ model: 'gpt-5-mini', messages, schema })
    return value.answer
  } catch (error) {
    if (!isCallError(error)) throw error
    switch (error.kind) {
      case 'rate_limit':
        return `Busy, please ask again in ${(error.retryAfterMs ?? 60_000) / 1_000} s.`
      case 'refusal':
      case 'content_filter':
        return 'I cannot answer that.'
      default:
        // What failed, after how many attempts, and what to do. Never the prompt or the answer.
        console.log(error.message)
        return undefined
    }
  }
}
// #endregion

// #region drop-in-error
try {
  const messages = [{ role: 'user' as const, content: 'one' }]
  await llm.chat.completions.create({ model: 'gpt-5-mini', messages })
} catch (error) {
  // Still openai's own class, with its own fields; callReport has the rest.
  if (!(error instanceof OpenAI.RateLimitError)) throw error
  const report = callReport(error)
  console.log(
    `${error.status} ${error.code}: ${report?.outcome}, ${report?.attempts.length} attempt`,
  )
}
// #endregion

for (const question of ['two', 'three', 'four']) console.log(await ask(question))
