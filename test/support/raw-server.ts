import { createServer, type IncomingHttpHeaders } from 'node:http'
import { originOf } from './origin.ts'

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
  const origin = await originOf(server)
  const raw: RawServer = {
    baseURL: `${origin}/v1`,
    bodies: [],
    headers: [],
    failures: 0,
  }
  return raw
}
