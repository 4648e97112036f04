import OpenAI from 'openai'
import { callReport, isCallError, steady } from 'steadycall'

const llm = steady(new OpenAI())
const schema = { type: 'object', properties: { summary: { type: 'string' } } } as const

// #region key
const summarize = (jobId: string, text: string) =>
  llm.json(
    { model: 'gpt-5-mini', messages: [{ role: 'user', content: `Summarize: ${text}` }], schema },
    { idempotencyKey: `summary-${jobId}` },
  )

// A queue delivers the job twice at the same time, and once more later.
const [first, second] = await Promise.all([summarize('17', 'a text'), summarize('17', 'a text')])
const third = await summarize('17', 'a text')
console.log(first.source, second.source, third.source)
console.log(
  third.usage.outputTokens,
  third.replayedUsage?.outputTokens === first.usage.outputTokens,
)
// #endregion

// #region mismatch
try {
  await summarize('17', 'another text')
} catch (error) {
  if (!isCallError(error)) throw error
  console.log(error.kind)
}
// #endregion

// #region drop-in
const completion = await llm.chat.completions.create(
  { model: 'gpt-5-mini', messages: [{ role: 'user', content: 'Greet the new customer.' }] },
  { steady: { idempotencyKey: 'greeting-17' } },
)
console.log(completion.choices[0]?.finish_reason)
// #endregion

// #region stream
for (const reader of ['first', 'second']) {
  const stream = await llm.chat.completions.create(
    { model: 'gpt-5-mini', messages: [{ role: 'user', content: 'Tell a story.' }], stream: true },
    { steady: { idempotencyKey: 'story-17' } },
  )
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  console.log(reader, text, callReport(stream)?.source)
}
// #endregion
