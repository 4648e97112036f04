// #region limits
import OpenAI from 'openai'
import { steady } from 'steadycall'

const llm = steady(new OpenAI(), {
  limits: { concurrency: 20, requestsPerMinute: 500 },
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
for (const { target, state, limit, inFlight, waiting, closedForMs } of llm.targets()) {
  const places = limit === undefined ? 'no limit known' : `${limit} places`
  console.log(`${target}: ${state}, ${places}, ${inFlight} in flight, ${waiting} waiting`)
  // The provider asked for a long pause, and an operator knows that it is over.
  if (closedForMs > 600_000) llm.reopen(target)
}
// #endregion
