// #region gateway
import OpenAI from 'openai'
import { callReport, steady } from 'steadycall'

const llm = steady(new OpenAI({ baseURL: process.env['LITELLM_URL'] }), { gateway: 'litellm' })

const completion = await llm.chat.completions.create({
  model: 'gpt-5-mini',
  messages: [{ role: 'user', content: 'What is the capital of Kenya?' }],
})
for (const { number, gatewayAttempts } of callReport(completion)?.attempts ?? []) {
  console.log(`attempt ${number}: ${gatewayAttempts} by the gateway`)
}
// #endregion
