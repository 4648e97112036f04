// #region report
import OpenAI from 'openai'
import { callReport, formatReport, steady } from 'steadycall'

const llm = steady(new OpenAI())
const completion = await llm.chat.completions.create({
  model: 'gpt-5-mini',
  messages: [{ role: 'user', content: 'Which is the longest river of Africa?' }],
})
const report = callReport(completion)
// { colour: true } on a terminal
if (report !== undefined) console.log(formatReport(report))
// #endregion
