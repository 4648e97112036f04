import { createServer, type Server } from 'node:http'

const COMPLETION = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
}
const LIST = { object: 'list', data: [], has_more: false }

/** The API as far as the tests of its resources need it: any answer of the right shape, or 404. */
export async function startApi(): Promise<{ readonly baseURL: string; readonly server: Server }> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      const { method, url = '' } = request
      const isKnown = !url.includes('/_stainless_unknown_path')
      response.writeHead(isKnown ? 200 : 404, { 'content-type': 'application/json' })
      response.end(
        JSON.stringify(method === 'GET' && !/\/completions\/[^/]+$/.test(url) ? LIST : COMPLETION),
      )
    })
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { baseURL: `http://127.0.0.1:${port}`, server }
}
