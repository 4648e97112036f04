// #region fallback
import OpenAI from 'openai'
import { callReport, steady } from 'steadycall'

const backup = new OpenAI({
  apiKey: process.env['BACKUP_API_KEY'],
  baseURL: process.env['BACKUP_BASE_URL'],
})

const llm = steady(new OpenAI(), {
  fallbacks: [
    { model: 'gpt-5', on: ['context_length'] },
    { client: backup, model: 'qwen3-32b' },
  ],
})

const completion = await llm.chat.completions.create({
  model: 'gpt-5-mini',
  messages: [{ role: 'user', content: 'Summarize the attached minutes.' }],
})
for (const { cause, target, outcome } of callReport(completion)?.attempts ?? []) {
  console.log(`${cause}: ${target.split(' ').at(-1)} ${outcome}`)
}
// #endregion
