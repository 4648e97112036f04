// #region batch
import OpenAI from 'openai'
import { steady } from 'steadycall'

const llm = steady(new OpenAI(), {
  deadlineMs: 3_600_000,
  // A call that fails fast loses its row: let it wait as long as the run may take.
  maxWaitMs: 3_600_000,
  // Calls for users of the same model in this process go first.
  priority: 'bulk',
})
const schema = { type: 'object', properties: { answer: { type: 'string' } } } as const

const questions = Array.from({ length: 8 }, (_, row) => `question ${row}`).entries()
const answers: unknown[] = []

async function worker(): Promise<void> {
  for (const [row, content] of questions) {
    const messages = [{ role: 'user' as const, content }]
    answers[row] = (await llm.json({ model: 'gpt-5-mini', messages, schema })).value
  }
}
await Promise.all(Array.from({ length: 4 }, worker))
// #endregion
console.log(`${answers.length} answers`)
