// #region handler
import OpenAI from 'openai'
import { isCallError, steady } from 'steadycall'

const llm = steady(new OpenAI())
const schema = { type: 'object', properties: { answer: { type: 'string' } } } as const

async function handler(request: Request): Promise<Response> {
  const messages = [{ role: 'user' as const, content: await request.text() }]
  try {
    const { value } = await llm.json(
      { model: 'gpt-5-mini', messages, schema },
      // Closing the page ends the call. A user who stays waits for at most 20 s.
      { signal: request.signal, deadlineMs: 20_000 },
    )
    return Response.json(value)
  } catch (error) {
    if (!isCallError(error) || error.again !== 'later') throw error
    const seconds = Math.ceil((error.retryAfterMs ?? 5_000) / 1_000)
    return new Response('busy', { status: 503, headers: { 'retry-after': String(seconds) } })
  }
}
// #endregion

for (const question of ['one', 'two']) {
  const url = 'http://localhost/'
  const answer = await handler(new Request(url, { method: 'POST', body: question }))
  console.log(answer.status, answer.headers.get('retry-after') ?? (await answer.text()))
}
