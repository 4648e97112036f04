import { expect, it, onTestFinished, vi } from 'vitest'
import {
  type CallEvent,
  isCallError,
  memoryStore,
  runIdempotent,
  type Store,
} from '../../src/index.ts'
import {
  answers,
  callsTool,
  cutStream,
  errorBodyUnder200,
  type Fault,
  hangs,
  httpError,
  refusal,
  truncatedJson,
} from '../../src/testing/index.ts'
import { exportOverHttp } from '../support/otel.ts'
import { setUp } from '../support/set-up.ts'

/** One for each place that something private can be in. */
const CANARIES = {
  prompt: 'canary-prompt-1c9f',
  answer: 'canary-answer-77ab',
  toolArguments: 'canary-arguments-e03d',
  apiKey: 'sk-canary-api-key-5b1e',
  header: 'canary-header-92f4',
  errorBody: 'canary-error-body-c88d',
  idempotencyKey: 'canary-key-3a6b',
  tenant: 'canary-tenant-0d57',
  keySecret: 'canary-secret-f410',
  payload: 'canary-payload-b2e9',
} as const

const schema = {
  type: 'object',
  properties: { name: { type: 'string', minLength: 1 }, age: { type: 'integer' } },
  required: ['name', 'age'],
  additionalProperties: false,
} as const
const good = `{"name":"${CANARIES.answer}","age":36}`
const wrong = `{"name":"${CANARIES.answer}","age":"${CANARIES.answer}","${CANARIES.answer}":1}`
const other = `{"name":"${CANARIES.answer}"}`
/** Providers quote the prompt in their errors, and put it into codes and types. */
const said = (status: number): Fault =>
  httpError(status, {
    error: {
      message: `bad: ${CANARIES.prompt} ${CANARIES.errorBody}`,
      type: `${CANARIES.errorBody} type`,
      code: `${CANARIES.errorBody} as a code`,
      param: CANARIES.errorBody,
    },
  })

const PATHS: Readonly<Record<string, readonly Fault[]>> = {
  success: [],
  'local repair': [answers(`Here: \`\`\`json\n{"name":"${CANARIES.answer}","age":"3"}\n\`\`\``)],
  're-ask': [answers(wrong)],
  'the same wrong answer twice': [answers(wrong), answers(wrong)],
  'two wrong answers': [answers(wrong), answers(other), answers(wrong)],
  'no JSON': [answers(CANARIES.answer), answers(`${CANARIES.answer}!`), answers(CANARIES.answer)],
  truncated: [truncatedJson()],
  refused: [refusal()],
  'a retry': [said(500)],
  'a permanent failure': [said(400)],
  'an unknown failure': [said(418)],
  'wrong credentials': [said(401)],
  'an error under 200': [errorBodyUnder200()],
  exhausted: [said(500), said(503), said(502)],
  'a timeout': [hangs()],
}

it('nothing of prompt, answer, key, secret, header or error is exported, told, or in a message', async () => {
  vi.stubEnv('OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT', undefined)
  onTestFinished(() => {
    vi.unstubAllEnvs()
  })
  const warnings: string[] = []
  const onWarning = (warning: Error) => warnings.push(String(warning))
  process.on('warning', onWarning)
  onTestFinished(() => {
    process.off('warning', onWarning)
  })
  const otel = await exportOverHttp()
  const events: CallEvent[] = []
  const errors: unknown[] = []
  const { store, written } = recording(memoryStore())
  const { llm, server } = await setUp(
    {
      answer: good,
      callOf: ({ headers }) => String(headers['x-fault-call']),
      perCall: (id) => PATHS[id.replace(/^keyed /, '')] ?? STREAMS[id] ?? TOOLS[id] ?? [],
    },
    {
      store,
      tenant: CANARIES.tenant,
      keySecret: CANARIES.keySecret,
      maxAttempts: 3,
      limits: 'off',
      attemptTimeoutMs: 1_000,
      telemetry: { propagateTraceparent: true },
      onEvent: (event) => events.push(event),
    },
    { apiKey: CANARIES.apiKey },
  )
  const messages = [{ role: 'user' as const, content: CANARIES.prompt }]
  const headersOf = (path: string) => ({ 'x-fault-call': path, 'x-private': CANARIES.header })
  const params = { model: 'gpt-test', messages, user: CANARIES.prompt }
  let keys = 0
  const keyFor = () => `${CANARIES.idempotencyKey}-${keys++}`
  const timeoutOf = (path: string) => ({
    attemptTimeoutMs: path.endsWith('a timeout') ? 60 : 1_000,
  })

  const structured = Object.keys(PATHS).flatMap((path) => [path, `keyed ${path}`])
  for (const path of structured) {
    const requestOptions = { headers: headersOf(path) }
    const key = path.startsWith('keyed') ? { idempotencyKey: keyFor() } : {}
    const call = () =>
      llm.json({ ...params, schema }, { requestOptions, ...key, ...timeoutOf(path) })
    // A keyed one three times: its owner, one that joins it, one that replays what was kept.
    const joined = 'idempotencyKey' in key ? [call(), call()] : [call()]
    await Promise.all(joined.map((promise) => promise.catch((error) => errors.push(error))))
    if ('idempotencyKey' in key) await call().catch((error) => errors.push(error))
  }
  for (const path of Object.keys(STREAMS)) {
    const options = { headers: headersOf(path) }
    const stream = await llm.chat.completions.create({ ...params, stream: true }, options)
    await read(stream, path).catch(() => {})
  }
  for (const path of Object.keys(TOOLS)) {
    const body = { ...params, tools: [tool] }
    await llm.chat.completions
      .create(body, { headers: headersOf(path), steady: { toolCalls: 'check' } })
      .catch(() => {})
  }
  for (const fails of [false, true]) {
    const idempotencyKey = keyFor()
    const payload = { text: CANARIES.payload }
    const guard = { store, operation: 'charge', payload, idempotencyKey, tenant: CANARIES.tenant }
    const work = () => {
      if (fails) throw new Error(CANARIES.errorBody)
      return { text: CANARIES.answer }
    }
    for (let i = 0; i < 2; i++) {
      await runIdempotent(guard, work).catch((error) => errors.push(error))
      await llm
        .run('work', work, { payload, idempotencyKey: `${idempotencyKey}-run` })
        .catch((error) => errors.push(error))
    }
  }
  await otel.flush()

  // The canaries were there to be found.
  const sent = JSON.stringify(server.requests)
  for (const canary of ['prompt', 'apiKey', 'header'] as const)
    expect(sent).toContain(CANARIES[canary])
  expect(calls(otel.spans())).toBeGreaterThan(70)
  expect(errors.length).toBeGreaterThan(25)

  expect(found(otel.bodies.join())).toEqual([])
  expect(found(warnings.join())).toEqual([])
  const callErrors = errors.filter(isCallError)
  expect(callErrors).toHaveLength(errors.length)
  expect(found(callErrors.map(({ message }) => message).join())).toEqual([])
  // An event names the key as its caller gave it: it is his own log.
  const told = JSON.stringify(events).replaceAll(/"idempotencyKey":"[^"]*"/g, '')
  expect(found(told)).toEqual([])
  expect(new Set(events.map(({ type }) => type)).size).toBeGreaterThanOrEqual(7)
  // What is kept is the answer, and nothing else of this.
  expect(found(written())).toEqual(['answer'])
})

const STREAMS: Readonly<Record<string, readonly Fault[]>> = {
  'a stream': [],
  'a stream that is left': [],
  'a stream that is cut': [cutStream()],
}

const tool = {
  type: 'function' as const,
  function: {
    name: 'look_up',
    parameters: {
      type: 'object',
      properties: { id: { type: 'integer' } },
      required: ['id'],
      additionalProperties: false,
    },
  },
}
const badCall = callsTool('look_up', JSON.stringify({ id: CANARIES.toolArguments }))
const TOOLS: Readonly<Record<string, readonly Fault[]>> = {
  'a tool call that is asked for again': [badCall],
  'a tool call that stays bad': [badCall, badCall, badCall],
}

function found(text: string): readonly string[] {
  return Object.entries(CANARIES)
    .filter(([, canary]) => text.includes(canary))
    .map(([name]) => name)
}

function calls(spans: readonly { readonly name: string }[]): number {
  return spans.filter(({ name }) => !name.startsWith('attempt ')).length
}

async function read(stream: AsyncIterable<unknown>, path: string): Promise<void> {
  for await (const _ of stream) if (path.endsWith('left')) break
}

/** A store with a record of all that it was given: what another store would write to a disk. */
function recording(inner: Store): { readonly store: Store; written(): string } {
  const given: unknown[] = []
  const store = new Proxy(inner, {
    get(target, name) {
      const verb: unknown = Reflect.get(target, name)
      if (typeof verb !== 'function') return verb
      return (...args: unknown[]) => {
        given.push(args)
        return Reflect.apply(verb, target, args)
      }
    },
  })
  return { store, written: () => JSON.stringify(given) }
}
