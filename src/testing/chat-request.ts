import type { IncomingMessage } from 'node:http'
import { type ChatBody, isChatBody } from './completion.ts'

/** A request that a provider would accept, or the refusal it would send. */
export type ReadChat =
  | { readonly ok: true; readonly body: ChatBody }
  | { readonly ok: false; readonly status: number; readonly message: string }

// Far above any real request; keeps a runaway test from using up the machine's memory.
const MAX_BODY_BYTES = 32 * 2 ** 20

// Azure's clients put the deployment, which stands for the model, into the path.
const PATH = /^\/v1\/(?:deployments\/[^/]+\/)?chat\/completions$/

/** Checks a request as OpenAI does: 404 for the path, 413 for the size, 400 for the body. */
export function readChat(method: string, path: string, rawBody: Buffer): ReadChat {
  if (method !== 'POST' || !PATH.test(path)) {
    return { ok: false, status: 404, message: `Invalid URL (${method} ${path})` }
  }
  if (rawBody.byteLength > MAX_BODY_BYTES) {
    return { ok: false, status: 413, message: 'The request body is too large.' }
  }
  let body: unknown
  try {
    body = JSON.parse(rawBody.toString('utf8'))
  } catch {
    const message = 'We could not parse the JSON body of your request.'
    return { ok: false, status: 400, message }
  }
  if (isChatBody(body)) return { ok: true, body }
  const message =
    "A chat completion needs 'model' (a string) and 'messages' (each with a role); 'stream' is a boolean."
  return { ok: false, status: 400, message }
}

/**
 * The whole body, or undefined if the client disconnected before it was complete. A body that is too large is
 * read only far enough to detect that.
 */
export async function readBody(incoming: IncomingMessage): Promise<Buffer | undefined> {
  const parts: Buffer[] = []
  let bytes = 0
  try {
    for await (const part of incoming) {
      if (bytes <= MAX_BODY_BYTES) parts.push(part)
      bytes += part.length
    }
  } catch {
    return
  }
  return Buffer.concat(parts)
}
