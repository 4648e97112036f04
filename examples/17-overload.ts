// #region limits
import OpenAI from 'openai'
import { steady } from 'steadycall'

const llm = steady(new OpenAI(), {
  concurrency: { maxInFlight: 20, maxQueued: 100, maxWaitMs: 10_000 },
  hedge: true,
})
// #endregion

const questions = ['one', 'two', 'three']
await Promise.all(
  questions.map((content) =>
    llm.chat.completions.create({ model: 'gpt-5-mini', messages: [{ role: 'user', content }] }),
  ),
)

// #region targets
for (const { target, breaker, retryTokens, gateClosedForMs, inFlight, queued } of llm.targets()) {
  const load = `${inFlight} in flight, ${queued} waiting`
  console.log(`${target}: ${breaker}, ${retryTokens} retries, ${load}, gate ${gateClosedForMs} ms`)
}
// #endregion
