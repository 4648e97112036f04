import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { COMPLETION } from './completion.ts'

/**
 * The cheapest provider there is, in a process of its own: always the same completion, from memory.
 * It keeps nothing, so that it does not slow down while it is measured. `GET /held` says how many
 * calls to `/held/…` wait for an answer; `POST /release` answers them all.
 */
const HEADERS = {
  'content-type': 'application/json',
  'content-length': Buffer.byteLength(COMPLETION),
  'x-request-id': 'req_bench',
  // As many, and as long, as api.openai.com sends; with those of node they are 22.
  'access-control-expose-headers': 'X-Request-ID',
  'openai-organization': 'user-0123456789abcdefghijklmn',
  'openai-processing-ms': '412',
  'openai-project': 'proj_0123456789abcdefghijklmn',
  'openai-version': '2020-10-01',
  'x-envoy-upstream-service-time': '433',
  'x-ratelimit-limit-requests': '10000',
  'x-ratelimit-limit-tokens': '30000000',
  'x-ratelimit-remaining-requests': '9999',
  'x-ratelimit-remaining-tokens': '29999987',
  'x-ratelimit-reset-requests': '6ms',
  'x-ratelimit-reset-tokens': '0s',
  'cf-cache-status': 'DYNAMIC',
  'strict-transport-security': 'max-age=31536000; includeSubDomains; preload',
  'x-content-type-options': 'nosniff',
  server: 'cloudflare',
  'cf-ray': '0123456789abcdef-FRA',
}

const held: (() => void)[] = []

const server = createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    const answer = () => response.writeHead(200, HEADERS).end(COMPLETION)
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
