import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import OpenAI from 'openai'
import OpenAI6 from 'openai-v6'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { callReport, createRuntime, isCallError, steady } from '../../../src/index.ts'
import { type Dispatcher, directFetch } from '../../../src/transport/direct-fetch.ts'
import { originOf } from '../../support/origin.ts'

const ask = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }

const ANSWER = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'late' }, finish_reason: 'stop' }],
})

interface Held {
  readonly path: string
  readonly response: ServerResponse
}

/** Holds every answer until it is told to go on; the paths with `/begun` get the head and one byte at once. */
async function slowProvider() {
  const held: Held[] = []
  const server = createServer((request, response) => {
    request.resume()
    request.on('end', () => {
      const { url: path = '' } = request
      held.push({ path, response })
      if (!path.startsWith('/begun')) return
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write(' ')
    })
  })
  const origin = await originOf(server)
  const finish = () => {
    for (const { response } of held) {
      if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/json' })
      response.end(ANSWER)
    }
  }
  return { origin, held, finish }
}

/** Node's own Agent, with limits of a tenth of a second instead of five minutes. */
function impatientAgent(): Dispatcher {
  void globalThis.Response
  const [major = 0] = process.versions['undici']?.split('.').map(Number) ?? []
  const shared = Reflect.get(
    globalThis,
    Symbol.for(`undici.globalDispatcher.${major >= 8 ? 2 : 1}`),
  )
  return Reflect.construct(shared.constructor, [{ headersTimeout: 100, bodyTimeout: 100 }])
}

const overNode =
  (dispatcher: Dispatcher): typeof fetch =>
  (input, init) =>
    // Node's own option.
    fetch(input, { ...init, dispatcher } as RequestInit)

// The classes of both majors differ in private fields only.
describe.each([
  [
    'before its answer begins',
    '/v1',
    'UND_ERR_HEADERS_TIMEOUT',
    "no answer began within the runtime's own limit, headersTimeout of undici (300 s unless set), so it was not sent again",
  ],
  [
    'in the middle of its answer',
    '/begun',
    'UND_ERR_BODY_TIMEOUT',
    "the answer paused for longer than the runtime's own limit, bodyTimeout of undici (300 s unless set), so it was not sent again",
  ],
])('a call that is silent for longer than the runtime allows %s', (_when, path, code, words) => {
  it.each([
    ['openai 7', OpenAI],
    ['openai 6', OpenAI6 as unknown as typeof OpenAI],
  ])(
    'of %s dies over Node’s fetch, once, and says what to do; arrives over directFetch()',
    async (_major, Client) => {
      const { origin, held, finish } = await slowProvider()
      const dispatcher = impatientAgent()
      const llmWith = (fetch: typeof globalThis.fetch) =>
        steady(new Client({ apiKey: 'test', baseURL: origin + path, fetch, maxRetries: 2 }), {
          runtime: createRuntime(),
        })
      const patient = llmWith(directFetch({ dispatcher })).chat.completions.create(ask)
      await vi.waitFor(() => expect(held).toHaveLength(1), { interval: 1 })

      const error = await llmWith(overNode(dispatcher))
        .json({ ...ask, schema: { type: 'object' } })
        .catch((thrown: unknown) => thrown)
      expect(isCallError(error) && error).toMatchObject({
        kind: 'timeout',
        code,
        executed: 'maybe',
        retryable: false,
        reason: 'not_retryable',
      })
      expect(callReport(error)?.attempts).toHaveLength(1)
      expect(held).toHaveLength(2)
      expect(String(error)).toContain(`(${code}) after 1 attempt`)
      expect(String(error)).toContain(
        `; ${words}. Give the client \`fetch: directFetch()\` of steadycall/transport`,
      )

      finish()
      expect((await patient).choices[0]?.message.content).toBe('late')
    },
  )

  it('is taken over by a fallback, which may have no such limit', async () => {
    const { origin, held } = await slowProvider()
    const other = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(ANSWER)
    })
    await new Promise<void>((resolve) => void other.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      other.closeAllConnections()
      other.close()
    })
    // An `AddressInfo` for a server that listens on a port.
    const { port } = other.address() as AddressInfo
    const second = new OpenAI({ apiKey: 'test', baseURL: `http://127.0.0.1:${port}/v1` })
    const llm = steady(
      new OpenAI({ apiKey: 'test', baseURL: origin + path, fetch: overNode(impatientAgent()) }),
      { runtime: createRuntime(), fallbacks: [{ client: second }] },
    )
    const completion = await llm.chat.completions.create(ask)
    expect(completion.choices[0]?.message.content).toBe('late')
    expect(held).toHaveLength(1)
  })
})

describe('directFetch()', () => {
  it('waits as long for an upload, which the runtime’s fetch sends', async () => {
    const { origin, held, finish } = await slowProvider()
    const dispatcher = impatientAgent()
    const form = new FormData()
    form.append('file', new File(['content'], 'a.txt'))
    const patient = directFetch({ dispatcher })(`${origin}/patient`, { method: 'POST', body: form })
    await vi.waitFor(() => expect(held).toHaveLength(1), { interval: 1 })
    const impatient = overNode(dispatcher)(`${origin}/impatient`, { method: 'POST', body: form })
    await expect(impatient).rejects.toMatchObject({ cause: { code: 'UND_ERR_HEADERS_TIMEOUT' } })
    finish()
    expect(await (await patient).text()).toBe(ANSWER)
  })

  it('ends a body that is silent for bodyTimeoutMs', async () => {
    const { origin } = await slowProvider()
    const response = await directFetch({ bodyTimeoutMs: 100 })(`${origin}/begun`)
    await expect(response.text()).rejects.toMatchObject({
      message: 'terminated',
      cause: { code: 'UND_ERR_BODY_TIMEOUT' },
    })
  })
})
