import OpenAI from 'openai'
import { steady } from 'steadycall'

const llm = steady(new OpenAI())
const url = process.env['RERANK_URL'] ?? 'https://rerank.example.com/v1/rerank'

// #region run
async function rerank(query: string, documents: readonly string[]): Promise<unknown> {
  return await llm.run(
    'rerank',
    async ({ signal }) => {
      const body = JSON.stringify({ query, documents })
      const response = await fetch(url, { method: 'POST', body, signal })
      if (response.ok) return response.json()
      // A failure is classified by its status and headers; these may also contain a hint.
      const { status, headers } = response
      throw Object.assign(new Error(`rerank: ${status}`), { status, headers })
    },
    { deadlineMs: 20_000 },
  )
}
// #endregion

console.log(await rerank('lamp', ['a table', 'a lamp']))
