import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  answers,
  badRequest,
  contextLength,
  cutStream,
  cutStreamBeforeContent,
  insufficientQuota,
  overloaded,
  rateLimited,
  refusal,
  resetInBody,
  serverError,
  slow,
  truncatedJson,
} from '../src/testing/index.ts'
import { builtApp } from './support/built.ts'
import { describeWith } from './support/describe-with.ts'
import { POSTGRES, startPostgres } from './support/postgres-server.ts'
import { REDIS, startRedis } from './support/redis-server.ts'
import { startServer } from './support/set-up.ts'

const root = new URL('../', import.meta.url)
const app = await builtApp()
const EXAMPLES = [
  '01-drop-in',
  '02-stream',
  '03-structured',
  '04-structured-zod',
  '05-errors',
  '06-idempotency-key',
  '07-side-effect',
  '08-any-call',
  '09-fallback',
  '10-events',
  '11-tracing',
  '12-testing',
  '13-retry-policy',
  '14-parse-json',
  '15-retry',
  '16-success-probability',
  '17-overload',
  '18-gateway',
  '19-sqlite',
  '20-redis',
  '21-postgres',
  '23-report',
  '24-embeddings',
  '25-queue',
  '26-web-handler',
  '27-many-calls',
  '28-transport',
] as const

describe('an example runs as it stands and says what its page promises:', () => {
  it('01-drop-in retries an overloaded provider unseen', async () => {
    const server = await startServer({ answer: 'Nairobi.', perCall: [overloaded()] })
    const { stdout } = await run('01-drop-in', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual([
      'Nairobi.',
      'attempt 1 (initial) at 127.0.0.1 gpt-5-mini: overloaded',
      'attempt 2 (retry) at 127.0.0.1 gpt-5-mini: success',
      expect.stringMatching(/^[1-9]\d* output tokens$/),
    ])
    expect(server.requests.map(({ fault }) => fault)).toEqual(['overloaded', 'ok'])
  })

  it('01-drop-in runs from the sources too, as `npm run example` starts it', async () => {
    const server = await startServer({ answer: 'Nairobi.', perCall: [overloaded()] })
    const args = ['--conditions=steadycall:source', 'examples/01-drop-in.ts']
    const environment = { OPENAI_BASE_URL: server.baseURL }
    const { stdout } = await runIn(fileURLToPath(root), args, environment)
    expect(stdout[0]).toBe('Nairobi.')
    expect(server.count).toBe(2)
  })

  it('02-stream retries a stream that was cut before its first text', async () => {
    const answer = 'Once upon a time there was a very patient client.'
    const server = await startServer({ answer, perCall: [cutStreamBeforeContent()] })
    const { stdout } = await run('02-stream', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual([answer, 'success'])
    expect(server.count).toBe(2)
  })

  it('02-stream ends with an error, and no second request, where text had been shown', async () => {
    const answer = 'Once upon a time there was a very patient client.'
    const server = await startServer({ answer, perCall: [cutStream({ afterChunks: 2 })] })
    const { stdout } = await run('02-stream', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual(['Once upon a time …', 'network'])
    expect(server.count).toBe(1)
  })

  it('03-structured repairs the fence and the type, and asks again for nothing', async () => {
    const text = '{"subject":"Printer is burning","floor":"3","priority":"Urgent"}'
    const server = await startServer({ perCall: [answers(`\`\`\`json\n${text}\n\`\`\``)] })
    const { stdout } = await run('03-structured', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual([
      'urgent, floor 3: Printer is burning',
      'initial: success',
      'strip-fence at the whole answer',
      'number-from-string at /floor',
      'enum-case at /priority',
    ])
    expect(server.requests[0]?.body?.response_format).toMatchObject({ type: 'json_schema' })
  })

  it('04-structured-zod asks with twice the limit after a cut answer', async () => {
    const answer = '{"number":"7","due":"2027-03-01","lines":[{"text":"lamp","cents":1990}]}'
    const server = await startServer({ answer, perCall: [truncatedJson()] })
    const { stdout } = await run('04-structured-zod', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual(['7: 1990 cents by 2027'])
    expect(server.requests.map(({ body }) => body?.['max_completion_tokens'])).toEqual([500, 1_000])
  })

  it('05-errors tells four failures apart, each after one request', async () => {
    const server = await startServer({
      script: [
        insufficientQuota(),
        refusal(),
        insufficientQuota(),
        rateLimited({ retryAfterMs: 120_000 }),
      ],
    })
    const { stdout } = await run('05-errors', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual([
      '429 insufficient_quota: quota_exhausted, 1 attempt',
      'I cannot answer that.',
      expect.stringMatching(
        /^Quota exhausted at 127\.0\.0\.1 \(429 insufficient_quota\) after 1 attempt in \d+ ms\. Raise the quota at the provider; no retry can help\.$/,
      ),
      'undefined',
      'Busy, please ask again in 120 s.',
    ])
    expect(server.count).toBe(4)
  })

  it('06-idempotency-key sends one request for a job that came three times', async () => {
    const server = await startServer({ answer: '{"summary":"short"}', perCall: [slow(100)] })
    const { stdout } = await run('06-idempotency-key', { OPENAI_BASE_URL: server.baseURL })
    const summary = '{"summary":"short"}'
    expect(stdout).toEqual([
      'provider shared store',
      '0 true',
      'idempotency_mismatch',
      'stop',
      `first ${summary} provider`,
      `second ${summary} store`,
    ])
    expect(server.count).toBe(3)
  })

  it('07-side-effect makes one ticket per order, and says when nobody knows', async () => {
    const service = await ticketService()
    const { stdout } = await run('07-side-effect', { TICKETS_URL: service.url })
    expect(stdout).toEqual([
      "{ id: 1, key: 'order-1' }",
      "{ id: 1, key: 'order-1' }",
      '2: outcome_unknown, executed: maybe',
      '2: outcome_unknown, executed: maybe',
      '3: unknown, executed: no',
      '3: unknown, executed: no',
    ])
    // Order 2 was sent once although it was asked for twice; order 3 was surely not executed.
    expect(service.keys).toEqual(['order-1', 'order-2', 'order-3', 'order-3'])
  })

  it('08-any-call retries a service that is no chat, by its status and its hint', async () => {
    const service = await busyOnce()
    const { stdout } = await run('08-any-call', { RERANK_URL: service.url })
    expect(stdout).toEqual(['{ order: [ 1, 0 ] }'])
    expect(service.count).toBe(2)
  })

  it('24-embeddings is retried by us, and not by the client as well', async () => {
    const service = await embeddingsBusyOnce()
    const { stdout } = await run('24-embeddings', { OPENAI_BASE_URL: service.url })
    expect(stdout).toEqual(['[ [ 0.5, 0.25 ], [ 0.5, 0.25 ] ]'])
    expect(service.retryCounts).toEqual(['0', '0'])
  })

  it('09-fallback goes to the larger model, then to the other provider', async () => {
    const server = await startServer({ script: [contextLength(), insufficientQuota()] })
    const backup = await startServer()
    const { stdout } = await run('09-fallback', {
      OPENAI_BASE_URL: server.baseURL,
      BACKUP_BASE_URL: backup.baseURL,
      BACKUP_API_KEY: 'sk-backup',
    })
    expect(stdout).toEqual([
      'initial: gpt-5-mini context_length',
      'fallback: gpt-5 quota_exhausted',
      'fallback: qwen3-32b success',
    ])
    expect(server.requests.map(({ body }) => body?.model)).toEqual(['gpt-5-mini', 'gpt-5'])
    expect(backup.requests[0]?.headers.authorization).toBe('Bearer sk-backup')
  })

  it('10-events logs what was decided', async () => {
    const perCall = [serverError(), answers('{"stars":"many"}')]
    const server = await startServer({ answer: '{"stars":3}', perCall })
    const { stdout } = await run('10-events', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual([
      'retry after server_error, waiting for the backoff',
      'asked again after schema_mismatch',
      'chat: success, 3 attempts',
    ])
  })

  it('11-tracing has one span for the call and one below it for each attempt', async () => {
    const perCall = [rateLimited({ retryAfterMs: 20 }), answers('{"name":"Ada"}')]
    const server = await startServer({ answer: '{"name":"Ada","age":27}', perCall })
    const { stdout } = await run('11-tracing', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual(printedOn('docs/concepts/traces.md', '11-tracing'))
    expect(stdout).toHaveLength(4)
  })

  it('12-testing passes under a test runner that is not ours', async () => {
    const { stdout } = await run('12-testing', {})
    // The mark before it depends on Node's default reporter.
    const counts = stdout.filter((line) => /^. (?:pass|fail) /.test(line))
    expect(counts.map((line) => line.slice(2))).toEqual(['pass 3', 'fail 0'])
  })

  it('13-retry-policy sends two requests where the call allows two', async () => {
    const server = await startServer({ perCall: [resetInBody()] })
    const { stdout } = await run('13-retry-policy', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual(['network, success'])
    expect(server.count).toBe(2)
  })

  it('14-parse-json needs no provider', async () => {
    const { stdout } = await run('14-parse-json', {})
    expect(stdout).toEqual(printedOn('docs/concepts/output.md', '14-parse-json'))
    expect(stdout).toContain('/age: number-from-string')
  })

  it('15-retry waits for a lock and for a hint, then gets its answer', async () => {
    const stock = await stockService()
    const { stdout } = await run('15-retry', { STOCK_URL: stock.url })
    expect(stdout).toEqual([
      '{ item: 7, left: 3 }',
      'attempt 1: locked',
      'attempt 2: rate_limit',
      'attempt 3: success',
    ])
    const [lockedMs = 0, limitedMs = 0, goodMs = 0] = stock.atMs
    expect(limitedMs - lockedMs).toBeGreaterThanOrEqual(20)
    expect(goodMs - limitedMs).toBeGreaterThanOrEqual(30)
    expect(stock.atMs).toHaveLength(3)
  })

  it('16-success-probability computes what each retry adds', async () => {
    const { stdout } = await run('16-success-probability', {})
    expect(stdout).toEqual(printedOn('docs/concepts/retries.md', '16-success-probability'))
    const numbers = stdout.map((line) => line.split(/ {2,}/))
    expect(numbers).toContainEqual([
      'q = 0.99',
      '99',
      '99.99',
      '99.9999',
      '99.999999',
      '99.99999999',
    ])
    expect(numbers).toContainEqual(['q = 0.5', '50', '75', '87.5', '93.75', '96.875'])
    expect(numbers).toContainEqual(['q = 0.8', '1.00', '1.20', '1.24', '1.25', '1.25'])
    expect(numbers).toContainEqual(['q = 0.5', '1.00', '1.50', '1.75', '1.88', '1.94'])
  })

  it('18-gateway reads back what the gateway did', async () => {
    const server = await startServer({
      perCall: [
        {
          name: 'through LiteLLM',
          apply(exchange) {
            exchange.response.setHeader('x-litellm-attempted-retries', '0')
            return exchange.complete()
          },
        },
      ],
    })
    const { stdout } = await run('18-gateway', { LITELLM_URL: server.baseURL })
    expect(stdout).toEqual(['attempt 1: 1 by the gateway'])
    expect(server.requests[0]?.headers['x-litellm-num-retries']).toBe('0')
  })

  it('19-sqlite sends one request, though the process was started twice', async () => {
    const server = await startServer({ answer: 'Hello!' })
    const directory = mkdtempSync(join(tmpdir(), 'steadycall-example-'))
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
    const environment = {
      OPENAI_BASE_URL: server.baseURL,
      STORE_FILE: join(directory, 'store.db'),
    }
    const first = await run('19-sqlite', environment)
    const second = await run('19-sqlite', environment)
    expect([first.stdout, second.stdout]).toEqual([
      ['Hello!', 'provider'],
      ['Hello!', 'store'],
    ])
    expect(server.count).toBe(1)
  })

  describeWith([REDIS], 'with a Redis', () => {
    it('20-redis sends one request, though the process was started twice', async () => {
      const server = await startServer({ answer: 'Hello!' })
      const redis = await startRedis()
      onTestFinished(() => redis.close())
      const environment = {
        OPENAI_BASE_URL: server.baseURL,
        REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      }
      const first = await run('20-redis', environment)
      const second = await run('20-redis', environment)
      expect([first.stdout, second.stdout]).toEqual([
        ['Hello!', 'provider'],
        ['Hello!', 'store'],
      ])
      expect(server.count).toBe(1)
    })
  })

  describeWith([POSTGRES], 'with a Postgres', () => {
    it('21-postgres sends one request, though the process was started twice', async () => {
      const server = await startServer({ answer: 'Hello!' })
      const postgres = await startPostgres()
      onTestFinished(() => postgres.close())
      const environment = { OPENAI_BASE_URL: server.baseURL, DATABASE_URL: postgres.url() }
      const first = await run('21-postgres', environment)
      const second = await run('21-postgres', environment)
      expect([first.stdout, second.stdout]).toEqual([
        ['Hello!', 'provider'],
        ['Hello!', 'store'],
      ])
      expect(server.count).toBe(1)
    })
  })

  it('25-queue gives up what cannot succeed, and leaves the rest to a later try', async () => {
    const server = await startServer({
      callOf: ({ body }) => String(body.messages.at(-1)?.content).slice(0, 3),
      perCall: (question) => (question === 'one' ? [badRequest()] : Array(3).fill(serverError())),
    })
    const { stdout } = await run('25-queue', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual(['UnrecoverableError', 'server_error: later'])
  })

  it('23-report draws what the call went through', async () => {
    const perCall = [rateLimited({ retryAfterMs: 400 }), overloaded()]
    const server = await startServer({ perCall, answer: 'The Nile.' })
    const { stdout } = await run('23-report', { OPENAI_BASE_URL: server.baseURL })
    // Times and widths differ from run to run.
    const story = (lines: readonly string[]) =>
      lines.map((line) =>
        line
          .replaceAll(/[\d.]+ (ms|s)\b/g, 'T')
          .replaceAll('━', '')
          .replaceAll(/┄+/g, '┄'),
      )
    expect(story(stdout)).toEqual(story(printedOn('docs/concepts/traces.md', '23-report')))
    expect(stdout).toHaveLength(5)
  })

  it('26-web-handler answers, and tells a person when to come back where it cannot', async () => {
    const server = await startServer({
      answer: '{"answer":"42"}',
      callOf: ({ body }) => String(body.messages.at(-1)?.content).slice(0, 3),
      perCall: (question) => (question === 'two' ? [rateLimited({ retryAfterMs: 30_000 })] : []),
    })
    const { stdout } = await run('26-web-handler', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual(['200 {"answer":"42"}', '503 30'])
    expect(server.count).toBe(2)
  })

  it('27-many-calls loses no row of a batch to a bad second', async () => {
    const server = await startServer({
      answer: '{"answer":"42"}',
      script: Array(6).fill(overloaded()),
    })
    const { stdout } = await run('27-many-calls', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual(['8 answers'])
  })

  it('28-transport calls and streams over its own fetch', async () => {
    const server = await startServer({ answer: 'Therefore.', perCall: [overloaded()] })
    const { stdout } = await run('28-transport', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual(['Therefore.', 'Therefore.'])
    expect(server.count).toBe(3)
  })

  it('17-overload shows the health of the one target it has called', async () => {
    const server = await startServer()
    const { stdout } = await run('17-overload', { OPENAI_BASE_URL: server.baseURL })
    expect(stdout).toEqual(['127.0.0.1 gpt-5-mini: up, 20 places, 0 in flight, 0 waiting'])
  })
})

it('no example is left out', () => {
  const files = readdirSync(new URL('examples/', root)).sort()
  // What runs in jaeger/ is read in test/jaeger.test.ts.
  expect(files).toEqual([...EXAMPLES.map((name) => `${name}.ts`), 'jaeger'])
})

/** Runs an example in an application that has the package, with nothing of our own environment. */
function run(
  example: (typeof EXAMPLES)[number],
  environment: Readonly<Record<string, string>>,
): Promise<{ readonly stdout: readonly string[] }> {
  return runIn(app, [`examples/${example}.ts`], environment)
}

async function runIn(
  cwd: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<{ readonly stdout: readonly string[] }> {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { OPENAI_API_KEY: 'test', NO_COLOR: '1', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => {
    child.kill()
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [exitCode] = await once(child, 'close')
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
  return { stdout: stdout.trimEnd().split('\n') }
}

/** The lines of the block that a page shows as an example's output. */
function printedOn(page: string, example: string): readonly string[] {
  const text = readFileSync(new URL(page, root), 'utf8')
  const mark = `<!-- output of examples/${example}.ts -->\n\`\`\`text\n`
  const [, shown = ''] = text.split(mark)
  return (shown.split('\n```')[0] ?? '').split('\n')
}

/** Makes a ticket for order 1, makes one and then breaks for order 2, refuses order 3. */
async function ticketService(): Promise<{
  readonly url: string
  readonly keys: readonly string[]
}> {
  const keys: string[] = []
  const url = await serve((headers) => {
    const key = String(headers['idempotency-key'])
    keys.push(key)
    if (key === 'order-2') return { status: 500, headers: {}, body: {} }
    if (key === 'order-3') return { status: 422, headers: {}, body: {} }
    return { status: 200, headers: {}, body: { id: keys.length, key } }
  })
  return { url, keys }
}

/** Embeddings in the form that the client asks for by itself, once the service is no longer busy. */
async function embeddingsBusyOnce() {
  const retryCounts: unknown[] = []
  const embedding = Buffer.from(Float32Array.of(0.5, 0.25).buffer).toString('base64')
  const data = [0, 1].map((index) => ({ object: 'embedding', index, embedding }))
  const url = await serve((headers) => {
    const count = retryCounts.push(headers['x-stainless-retry-count'])
    const json = { 'content-type': 'application/json' }
    return count === 1
      ? { status: 503, headers: json, body: { error: { message: 'busy' } } }
      : { status: 200, headers: json, body: { data } }
  })
  return { url, retryCounts }
}

/** Busy at the first request, with a hint. */
async function busyOnce(): Promise<{ readonly url: string; readonly count: number }> {
  const seen = { url: '', count: 0 }
  seen.url = await serve(() => {
    seen.count += 1
    return seen.count === 1
      ? { status: 429, headers: { 'retry-after-ms': '10' }, body: {} }
      : { status: 200, headers: {}, body: { order: [1, 0] } }
  })
  return seen
}

/** Locked at the first request, limited with a hint at the second. */
async function stockService(): Promise<{ readonly url: string; readonly atMs: readonly number[] }> {
  const atMs: number[] = []
  const url = await serve(() => {
    const count = atMs.push(performance.now())
    if (count === 1) return { status: 423, headers: {}, body: {} }
    if (count === 2) return { status: 429, headers: { 'retry-after-ms': '30' }, body: {} }
    return { status: 200, headers: {}, body: { item: 7, left: 3 } }
  })
  return { url, atMs }
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: object
}

/** A service on a free port that lives as long as the test. */
async function serve(answer: (headers: IncomingHttpHeaders) => Answer): Promise<string> {
  const server = createServer((incoming, response) => {
    const { status, headers, body } = answer(incoming.headers)
    response.writeHead(status, headers).end(JSON.stringify(body))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
}
