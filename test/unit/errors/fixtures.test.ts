import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import OpenAI from 'openai'
import OpenAIv6 from 'openai-v6'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Classification,
  classify,
  classifyError,
  classifyErrorBody,
} from '../../../src/errors/classify.ts'
import { WORDING_RULES } from '../../../src/errors/match-wording.ts'

interface Fixture {
  readonly name: string
  readonly source: string
  /** What of it was not taken from the source. */
  readonly note?: string
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** openai's error drops this body: only what the wire observer saw can tell. */
  readonly needsBody?: true
  readonly body: unknown
  readonly expect: Partial<Classification>
}

const folder = new URL('../../fixtures/errors/', import.meta.url)
const fixtures = readdirSync(folder)
  .sort()
  .map((file): Fixture => JSON.parse(readFileSync(new URL(file, folder), 'utf8')))

/** The example of each wording, as if it were a fixture. */
const examples = WORDING_RULES.map(({ kind, example: [status, body] }): Fixture => {
  const needsBody = status !== 200 && !hasErrorMember(body)
  const answer = status === 200 && body.startsWith('{') ? JSON.parse(body) : body
  const name = `${kind}: ${body}`
  return {
    name,
    source: '',
    status,
    body: answer,
    expect: { kind },
    ...(needsBody && { needsBody }),
  }
})
const served = [...fixtures, ...examples]
const failures = fixtures.filter(({ status }) => status !== 200)
const answers = fixtures.filter(({ status }) => status === 200)
const request = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }
const clients = [
  {
    version: 'v7',
    create: (baseURL: string): Promise<unknown> =>
      new OpenAI({ apiKey: 'test', baseURL, maxRetries: 0 }).chat.completions.create(request),
  },
  {
    version: 'v6',
    create: (baseURL: string): Promise<unknown> =>
      new OpenAIv6({ apiKey: 'test', baseURL, maxRetries: 0 }).chat.completions.create(request),
  },
]

let server: Server
let origin: string

beforeAll(async () => {
  server = createServer((incoming, response) => {
    const fixture = served[Number(incoming.url?.split('/')[1])]
    if (fixture === undefined) throw new Error(`no fixture for ${incoming.url}`)
    const type = /^[[{]/.test(textOf(fixture)) ? 'application/json' : 'text/html'
    response.writeHead(fixture.status, { 'content-type': type, ...fixture.headers })
    response.end(textOf(fixture))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  origin = `http://127.0.0.1:${address.port}`
})

afterAll(() => {
  server.closeAllConnections()
  server.close()
})

describe.each(clients)('openai $version', ({ create }) => {
  const ask = (fixture: Fixture) => create(`${origin}/${served.indexOf(fixture)}/v1`)

  it.each(failures)('classifies $status $name ($source)', async (fixture) => {
    const error = await ask(fixture).then(
      () => expect.unreachable('the client must throw'),
      (caught: unknown) => caught,
    )
    const { status, headers } = fixture
    const withBody = classify(error, { now: 0, status, headers, body: textOf(fixture) })
    expect(withBody).toMatchObject({ ...fixture.expect, status })
    expect(withBody.retryAfterMs).toBe(fixture.expect.retryAfterMs)
    if (!fixture.needsBody) {
      expect(classifyError(error, 0)).toMatchObject({ ...fixture.expect, status })
      expect(classifyError(error, 0).retryAfterMs).toBe(fixture.expect.retryAfterMs)
    }
  })

  it.each(answers)(
    'sees a failure in an answer of status 200: $name ($source)',
    async (fixture) => {
      expect(classifyErrorBody(await ask(fixture), { now: 0 })).toMatchObject(fixture.expect)
    },
  )

  it.each(examples)('classifies the example of a wording, $status $name', async (example) => {
    const { status, expect: expected } = example
    const answer = await ask(example).catch((error: unknown) => error)
    if (status === 200) expect(classifyErrorBody(answer, { now: 0 })).toMatchObject(expected)
    else expect(classify(answer, { status, body: textOf(example) })).toMatchObject(expected)
    if (status !== 200 && !example.needsBody) {
      expect(classifyError(answer)).toMatchObject(expected)
    }
  })
})

describe('the verdict on retrying', () => {
  const judged = fixtures.map((fixture) => {
    const { name, expect: expected } = fixture
    return {
      name,
      ours: retryableOf(fixture) === expected.retryable,
      theirs: openaiRetries(fixture) === expected.retryable,
    }
  })

  it('is right for every fixture', () => {
    expect(judged.filter(({ ours }) => !ours)).toEqual([])
  })

  it("is wrong for more than one in ten by openai's own rule, which sees the status alone", () => {
    const wrong = judged.filter(({ theirs }) => !theirs)
    expect(wrong.length).toBeGreaterThan(judged.length / 10)
  })
})

it('has a public source for every fixture', () => {
  for (const { source } of fixtures) expect(source).toMatch(/^https:\/\/[a-z]/)
})

function retryableOf(fixture: Fixture): boolean | undefined {
  const { status, headers, body } = fixture
  const evidence = { now: 0, status, headers, body: textOf(fixture) }
  const found = status === 200 ? classifyErrorBody(body) : classify({ status }, evidence)
  return found?.retryable
}

/** openai-node's rule: `x-should-retry`, then 408, 409, 429 and 5xx; a 200 is a success. */
function openaiRetries({ status, headers }: Fixture): boolean {
  const told = new Headers(headers).get('x-should-retry')
  if (told === 'true' || told === 'false') return told === 'true'
  return status === 408 || status === 409 || status === 429 || status >= 500
}

function hasErrorMember(body: string): boolean {
  if (!body.startsWith('{')) return false
  const { error } = JSON.parse(body)
  return error !== undefined
}

function textOf({ body }: Fixture): string {
  return typeof body === 'string' ? body : JSON.stringify(body)
}
