import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { TICKET_TEXT } from '../ticket.ts'

/**
 * The cheapest provider there is, in a process of its own: always the same completion, from memory.
 * It keeps nothing, so that it does not slow down while it is measured. `GET /held` says how many
 * calls to `/held/…` wait for an answer; `POST /release` answers them all.
 */
const completion = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 1_764_115_200,
  model: 'gpt-bench',
  system_fingerprint: 'fp_bench',
  service_tier: 'default',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: TICKET_TEXT, refusal: null, annotations: [] },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage: { prompt_tokens: 31, completion_tokens: 29, total_tokens: 60 },
})
const HEADERS = {
  'content-type': 'application/json',
  'content-length': Buffer.byteLength(completion),
  'x-request-id': 'req_bench',
}

const held: (() => void)[] = []

const server = createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    const answer = () => response.writeHead(200, HEADERS).end(completion)
    const { url = '' } = request
    if (url === '/held') response.end(String(held.length))
    else if (url === '/release') {
      for (const release of held.splice(0)) release()
      response.end()
    } else if (url.startsWith('/held/')) held.push(answer)
    else answer()
  })
})
server.keepAliveTimeout = 0
server.requestTimeout = 0
server.listen({ port: 0, host: '127.0.0.1', backlog: 8_192 }, () => {
  // An `AddressInfo` for a server that listens on a port.
  const { port } = server.address() as AddressInfo
  process.send?.(`http://127.0.0.1:${port}`)
})
process.once('disconnect', () => process.exit())
