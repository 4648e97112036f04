import OpenAI from 'openai'
import { steady } from 'steadycall'

const llm = steady(new OpenAI())

// #region embeddings
async function embed(texts: string[]): Promise<number[][]> {
  return await llm.run('embed', async ({ signal }) => {
    const input = { model: 'text-embedding-3-small', input: texts }
    const { data } = await llm.embeddings.create(input, { signal })
    return data.map(({ embedding }) => embedding)
  })
}
// #endregion

console.log(await embed(['a table', 'a lamp']))
