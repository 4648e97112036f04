// #region policy
import OpenAI from 'openai'
import { callReport, fullJitter, steady } from 'steadycall'

const llm = steady(new OpenAI(), {
  maxAttempts: 4,
  deadlineMs: 30_000,
  attemptTimeoutMs: 10_000,
  maxWaitMs: 20_000,
  backoff: fullJitter({ baseMs: 250, capMs: 5_000 }),
})
// #endregion

const messages = [{ role: 'user' as const, content: 'Are you there?' }]

// #region per-call
const completion = await llm.chat.completions.create(
  { model: 'gpt-5-mini', messages },
  { signal: AbortSignal.timeout(15_000), steady: { maxAttempts: 2 } },
)
// #endregion
console.log(
  callReport(completion)
    ?.attempts.map(({ outcome }) => outcome)
    .join(', '),
)
