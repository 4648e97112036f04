import OpenAI from 'openai'
import { callReport, steady } from 'steadycall'

const llm = steady(new OpenAI())

// #region stream
const stream = await llm.chat.completions.create(
  {
    model: 'gpt-5-mini',
    messages: [{ role: 'user', content: 'Tell me a story.' }],
    stream: true,
  },
  { steady: { firstChunkTimeoutMs: 20_000, chunkIdleTimeoutMs: 10_000 } },
)

try {
  for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '')
  process.stdout.write('\n')
} catch (error) {
  // Text has been shown already, so the request was not repeated.
  if (!(error instanceof OpenAI.APIConnectionError)) throw error
  process.stdout.write(' …\n')
}
console.log(callReport(stream)?.outcome)
// #endregion
