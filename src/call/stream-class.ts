import { rawClient } from './facade.ts'
import type { ChunkStream, StreamClass } from './one-reader.ts'
import type { ChatClient } from './targets.ts'

/** By the class of the client. Promises, so that two who ask at once ask once. */
const known = new WeakMap<object, Promise<StreamClass>>()

/**
 * The `Stream` class of a client's own copy of openai, for streams that come from no request. No
 * property of a client leads there; but a new client of that copy, whose fetch answers by itself
 * with an empty stream, gives an object of it. Nothing is sent, and no credential is touched.
 */
export function streamClassOf(client: ChatClient): Promise<StreamClass> {
  const Client = rawClient(client).constructor
  const found = known.get(Client) ?? askFor(Client)
  known.set(Client, found)
  return found
}

interface BareClient {
  post(path: string, options: object): PromiseLike<ChunkStream>
}

async function askFor(Client: object): Promise<StreamClass> {
  // Azure's class and a user's subclass take other options; both inherit the name of openai's own.
  const Own: unknown = Reflect.get(Client, 'OpenAI') ?? Client
  // The constructor of a client, or the one that its class names as its own.
  const Bare = Own as new (options: object) => BareClient
  const client = new Bare({
    apiKey: 'none',
    baseURL: 'http://localhost',
    maxRetries: 0,
    logLevel: 'off',
    dangerouslyAllowBrowser: true,
    fetch: async () => new Response('data: [DONE]\n\n', { headers: EVENT_STREAM }),
  })
  const stream = await client.post('/', { body: {}, stream: true })
  // openai's: what its own client gives for `stream: true`.
  return stream.constructor as StreamClass
}

const EVENT_STREAM = { 'content-type': 'text/event-stream' }
