import { hash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type Clock, systemClock } from '../time.ts'
import { type ChatBody, isChatBody } from './completion.ts'
import { defaultAnswer } from './example-value.ts'
import {
  type ChatRequest,
  checkNames,
  createExchange,
  describe,
  type ReceivedHeaders,
} from './exchange.ts'
import { type FaultPlan, followPlan, PLAN_NAMES } from './fault-plan.ts'
import { openaiError } from './faults.ts'

export interface FaultServerOptions extends FaultPlan {
  /**
   * Returns the id of the call that a request belongs to; a retry and a re-ask must have the id of the first
   * request.
   * @default the header `x-fault-call`, or a hash of the model and the first user message. A re-ask keeps both,
   * since it appends messages; a fallback to another model does not.
   */
  readonly callOf?: (request: Pick<ChatRequest, 'headers' | 'body'>) => string
  /**
   * The content of good answers.
   * @default a small value for the schema of the request's `response_format`, `{}` for `json_object`, otherwise
   * a sentence
   */
  readonly answer?: string | ((request: ChatRequest) => string)
  /** Used for `atMs`, `created` and faults that wait. @default the real clock */
  readonly clock?: Clock
}

/** A local server for OpenAI chat completions that follows a plan of faults. */
export interface FaultServer {
  /** The client's `baseURL`: `http://127.0.0.1:<port>/v1`. */
  readonly baseURL: string
  /** All requests that arrived, in the order in which their bodies were complete. A live list. */
  readonly requests: readonly RecordedRequest[]
  /** Number of requests that arrived, well-formed or not. */
  readonly count: number
  /** The well-formed requests of one call. */
  requestsFor(callId: string): readonly RecordedRequest[]
  /**
   * Forgets all requests and restarts the plan, or starts another one.
   *
   * @throws TypeError or RangeError for an invalid plan; the old one then stays.
   */
  reset(plan?: FaultPlan): void
  /**
   * Destroys every socket, including those of hanging requests, and stops listening.
   *
   * @throws Error if `callOf`, `answer`, `perCall` or a fault threw while the server ran.
   */
  close(): Promise<void>
}

/** One HTTP request as it arrived, and what happened to it. */
export interface RecordedRequest {
  /** Empty if the request was malformed (answered with 400, 404 or 413) or never complete. */
  readonly callId: string
  /** The number of the request within its call, counted from 1; 0 if it was malformed. */
  readonly number: number
  readonly method: string
  /** Without the query string. */
  readonly path: string
  readonly headers: ReceivedHeaders
  /** Absent if the request was malformed. */
  readonly body?: ChatBody
  /** Empty if the client disconnected before it was complete. */
  readonly rawBody: string
  /** Milliseconds since the server started, on its clock. */
  readonly atMs: number
  /** The name of the fault applied: `ok` for a good answer, `refused` for a malformed request. */
  readonly fault: string
  /** Whether the client disconnected before it had the whole answer. Set when the server notices. */
  readonly aborted: boolean
}

/**
 * Starts a fault server on a free port of 127.0.0.1.
 *
 * Accepts `POST {baseURL}/chat/completions`, and Azure's variant with `/deployments/{name}`. Any other request
 * gets 404 and an unusable body 400, as from OpenAI. Such requests are recorded but use up no fault. Idle
 * keep-alive connections are never closed.
 *
 * @throws TypeError or RangeError naming the option, the value and what is allowed.
 *
 * @example
 * const server = await startFaultServer({ perCall: [rateLimited({ retryAfterMs: 20 }), ok()] })
 * const client = new OpenAI({ apiKey: 'test', baseURL: server.baseURL })
 * await client.chat.completions.create({ model: 'gpt-test', messages })
 * server.count // 2
 * await server.close()
 */
export async function startFaultServer(options: FaultServerOptions = {}): Promise<FaultServer> {
  checkNames('startFaultServer', options, [...PLAN_NAMES, 'callOf', 'answer', 'clock'])
  checkCallbacks(options)
  const state: ServerState = {
    options,
    clock: options.clock ?? systemClock,
    startedAtMs: (options.clock ?? systemClock).monotonicMs(),
    requests: [],
    counts: new Map(),
    nextFault: followPlan(options),
    sequence: 0,
    open: new Set(),
    closing: false,
  }
  let plan: FaultPlan = options

  // `serve` never rejects: errors are stored in the state.
  const server = createServer((incoming, response) => void serve(state, incoming, response))
  // Closing an idle connection while a request is on its way would be an unplanned fault.
  server.keepAliveTimeout = 0
  server.requestTimeout = 0
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')

  let closed: Promise<void> | undefined
  const close = async () => {
    state.closing = true
    const stopped = new Promise<void>((resolve) => {
      server.close(() => resolve())
    })
    server.closeAllConnections()
    for (const exchange of state.open) exchange.abort()
    await stopped
    if (state.failure) throw state.failure
  }
  return {
    baseURL: `http://127.0.0.1:${address.port}/v1`,
    requests: state.requests,
    get count() {
      return state.requests.length
    },
    requestsFor: (callId) =>
      state.requests.filter((request) => request.body && request.callId === callId),
    reset(next = plan) {
      if (next !== plan) checkNames('reset', next, PLAN_NAMES)
      state.nextFault = followPlan(next)
      plan = next
      state.requests.length = 0
      state.counts.clear()
    },
    close() {
      closed ??= close()
      return closed
    },
  }
}

type Recording = { -readonly [Field in keyof RecordedRequest]: RecordedRequest[Field] }

interface ServerState {
  readonly options: FaultServerOptions
  readonly clock: Clock
  readonly startedAtMs: number
  readonly requests: Recording[]
  readonly counts: Map<string, number>
  nextFault: ReturnType<typeof followPlan>
  /** Counts all answers of the server, so that ids stay unique after a reset. */
  sequence: number
  /** Exchanges that are not over yet. */
  readonly open: Set<AbortController>
  closing: boolean
  failure?: Error
}

async function serve(
  state: ServerState,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  state.sequence += 1
  const id = String(state.sequence)
  const recording = begin(state, incoming)
  const over = new AbortController()
  let weDisconnect = false
  response.setHeader('x-request-id', `req_fault_${id}`)
  // On some paths, writing to a disconnected client emits an error event, which is expected here.
  response.on('error', () => undefined)
  response.on('close', () => {
    recording.aborted = !(response.writableFinished || weDisconnect || state.closing)
    state.open.delete(over)
    over.abort()
  })
  state.open.add(over)

  try {
    const rawBody = await readBody(incoming)
    state.requests.push(recording)
    if (rawBody === undefined) return
    recording.rawBody = rawBody.toString('utf8')
    const read = readChat(recording.method, recording.path, rawBody)
    if (!read.ok) {
      response.writeHead(read.status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(openaiError(read.message, 'invalid_request_error', null)))
      return
    }
    const { body } = read
    recording.body = body
    const request = assign(state, recording, body)
    const fault = state.nextFault(request.callId, request.number)
    recording.fault = fault.name
    const exchange = createExchange({
      request,
      clock: state.clock,
      signal: over.signal,
      response,
      id: `chatcmpl-${id}`,
      goodAnswer: () => goodAnswer(state.options.answer, request),
      onDisconnect: () => {
        weDisconnect = true
      },
    })
    await fault.apply(exchange)
  } catch (error) {
    // After the exchange is over, errors are only due to the missing client.
    if (!over.signal.aborted) fail(state, response, error)
  }
}

function begin(state: ServerState, incoming: IncomingMessage): Recording {
  return {
    callId: '',
    number: 0,
    method: incoming.method ?? '',
    path: (incoming.url ?? '').split('?', 1)[0] ?? '',
    headers: incoming.headers,
    rawBody: '',
    atMs: state.clock.monotonicMs() - state.startedAtMs,
    fault: 'refused',
    aborted: false,
  }
}

/** Counts the request towards its call. */
function assign(state: ServerState, recording: Recording, body: ChatBody): ChatRequest {
  const { callOf = defaultCallOf } = state.options
  const callId = callOf({ headers: recording.headers, body })
  if (typeof callId !== 'string') {
    throw new TypeError(`callOf gave ${describe(callId)}; allowed is a string`)
  }
  const number = (state.counts.get(callId) ?? 0) + 1
  state.counts.set(callId, number)
  recording.callId = callId
  recording.number = number
  return { headers: recording.headers, body, callId, number }
}

function defaultCallOf({ headers, body }: Pick<ChatRequest, 'headers' | 'body'>): string {
  const named = headers['x-fault-call']
  if (typeof named === 'string') return named
  const first = body.messages.find(({ role }) => role === 'user') ?? body.messages[0]
  const text = JSON.stringify([body.model, first?.content ?? null])
  return hash('sha256', text).slice(0, 12)
}

function goodAnswer(answer: FaultServerOptions['answer'], request: ChatRequest): string {
  if (answer === undefined) return defaultAnswer(request.body)
  const text = typeof answer === 'string' ? answer : answer(request)
  if (typeof text === 'string') return text
  throw new TypeError(`answer gave ${describe(text)}; allowed is a string`)
}

/** A mistake in the test rather than in the client: reported by the server and in the response, not retryable. */
function fail(state: ServerState, response: ServerResponse, error: unknown): void {
  const reason = error instanceof Error ? error.message : describe(error)
  state.failure ??= new Error(`fault server: ${reason}`, { cause: error })
  if (response.headersSent) {
    response.destroy()
    return
  }
  response.writeHead(500, { 'content-type': 'application/json', 'x-should-retry': 'false' })
  response.end(JSON.stringify(openaiError(`fault server: ${reason}`, 'server_error', null)))
}

function checkCallbacks({ callOf, answer, clock }: FaultServerOptions): void {
  if (callOf !== undefined && typeof callOf !== 'function') {
    throw new TypeError(`callOf is ${describe(callOf)}; allowed is a function`)
  }
  if (answer !== undefined && typeof answer !== 'string' && typeof answer !== 'function') {
    throw new TypeError(`answer is ${describe(answer)}; allowed are a string and a function`)
  }
  for (const verb of ['wallMs', 'monotonicMs', 'schedule']) {
    if (clock === undefined || typeof Reflect.get(clock, verb) === 'function') continue
    throw new TypeError(`clock has no ${verb}(); allowed is a Clock`)
  }
}

/** A request that a provider would accept, or the refusal it would send. */
type ReadChat =
  | { readonly ok: true; readonly body: ChatBody }
  | { readonly ok: false; readonly status: number; readonly message: string }

// Far above any real request; keeps a runaway test from using up the machine's memory.
const MAX_BODY_BYTES = 32 * 2 ** 20

// Azure's clients put the deployment, which stands for the model, into the path.
const PATH = /^\/v1\/(?:deployments\/[^/]+\/)?chat\/completions$/

/** Checks a request as OpenAI does: 404 for the path, 413 for the size, 400 for the body. */
function readChat(method: string, path: string, rawBody: Buffer): ReadChat {
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
async function readBody(incoming: IncomingMessage): Promise<Buffer | undefined> {
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
