// #region drop-in
import OpenAI from 'openai'
import { callReport, steady } from 'steadycall'

const llm = steady(new OpenAI())

const completion = await llm.chat.completions.create({
  model: 'gpt-5-mini',
  messages: [{ role: 'user', content: 'What is the capital of Kenya?' }],
})
console.log(completion.choices[0]?.message.content)
// #endregion

// #region report
const report = callReport(completion)
for (const { number, cause, target, outcome } of report?.attempts ?? []) {
  console.log(`attempt ${number} (${cause}) at ${target}: ${outcome}`)
}
console.log(`${report?.usage.outputTokens} output tokens`)
// #endregion
