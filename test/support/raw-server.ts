import { createServer, type IncomingHttpHeaders } from 'node:http'
import { onTestFinished } from 'vitest'

export interface RawServer {
  readonly baseURL: string
  /** The texts of the bodies that arrived, in order. */
  readonly bodies: string[]
  readonly headers: IncomingHttpHeaders[]
  /** So many of the next requests are answered with 503. */
  failures: number
}

const GOOD = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
})

const OVERLOADED = JSON.stringify({ error: { message: 'overloaded', type: 'server_error' } })

/** A provider that keeps what it was sent byte by byte, whatever that is. */
export async function startRawServer(): Promise<RawServer> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      raw.bodies.push(Buffer.concat(chunks).toString('utf8'))
      raw.headers.push(request.headers)
      const fails = raw.failures > 0
      if (fails) raw.failures--
      response.writeHead(fails ? 503 : 200, { 'content-type': 'application/json' })
      response.end(fails ? OVERLOADED : GOOD)
    })
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const raw: RawServer = {
    baseURL: `http://127.0.0.1:${port}/v1`,
    bodies: [],
    headers: [],
    failures: 0,
  }
  return raw
}
