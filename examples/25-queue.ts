import OpenAI from 'openai'
// #region queue
import { isCallError, steady } from 'steadycall'

const llm = steady(new OpenAI())
const schema = { type: 'object', properties: { answer: { type: 'string' } } } as const

/** The queue calls this for each try of a job. BullMQ's `UnrecoverableError` ends the tries. */
async function work(job: { readonly id: string; readonly question: string }): Promise<unknown> {
  try {
    const messages = [{ role: 'user' as const, content: job.question }]
    const options = { idempotencyKey: job.id }
    return (await llm.json({ model: 'gpt-5-mini', messages, schema }, options)).value
  } catch (error) {
    // 'never': no later try can succeed. 'unknown': a person has to look first.
    if (isCallError(error) && error.again !== 'later') {
      throw Object.assign(new UnrecoverableError(error.message), { cause: error })
    }
    // The queue tries again, not before error.retryAfterMs if that is known.
    throw error
  }
}
// #endregion

/** As `bullmq` exports it. */
class UnrecoverableError extends Error {
  override readonly name = 'UnrecoverableError'
}

for (const question of ['one', 'two']) {
  const ended = await work({ id: `job-${question}`, question }).catch((error: unknown) => error)
  const shown = isCallError(ended) ? `${ended.kind}: ${ended.again}` : Object(ended).name
  console.log(shown)
}
