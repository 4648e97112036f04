import OpenAI from 'openai'
import { type Client, type ClientRequest, send } from '../../bench/storm/client.ts'
import type { Answer } from '../../bench/storm/provider.ts'
import { createRuntime, steady } from '../../src/index.ts'
import { ask, person } from '../support/set-up.ts'

/** A process with a real `openai` client, wrapped by `steady`, and the simulated provider as its fetch. */
export function wholeClient({ time, random, provider, attemptTimeoutMs }: ClientRequest): Client {
  let attempts = 0
  const fetch = (_url: unknown, init?: RequestInit) =>
    new Promise<Response>((resolve, reject) => {
      attempts += 1
      // Its own limit ends it first.
      const ticket = send(time, provider(0), 2 * attemptTimeoutMs, (ended) => {
        time.wake()
        if (ended === 'timeout') reject(new Error('nobody limits this request'))
        else resolve(responseOf(ended))
      })
      init?.signal?.addEventListener('abort', () => {
        ticket.abandon()
        reject(init.signal?.reason)
      })
    })
  const client = new OpenAI({ apiKey: 'k', baseURL: 'http://localhost/v1', fetch })
  const runtime = createRuntime({ clock: time.clock, random })
  runtime.shared.warned.add('STEADYCALL_REPEATED_CALL')
  const llm = steady(client, { runtime, attemptTimeoutMs })
  return {
    call(done) {
      const before = attempts
      const ended = (ok: boolean) => {
        time.wake()
        done({ ok, attempts: attempts - before })
      }
      void llm.json({ ...ask('who?'), schema: person }).then(
        () => ended(true),
        () => ended(false),
      )
    },
  }
}

function responseOf({ status, retryAfterMs, malformed }: Answer): Response {
  const headers = retryAfterMs === undefined ? {} : { 'retry-after-ms': String(retryAfterMs) }
  if (status !== 200) {
    return Response.json({ error: { message: `status ${status}` } }, { status, headers })
  }
  // Another wrong answer each time: the same one twice would end the call.
  wrong += 1
  const content = malformed === true ? `{"name":${wrong}}` : '{"name":"Ann","age":36}'
  return Response.json({
    id: 'c',
    object: 'chat.completion',
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content } }],
  })
}

let wrong = 0
