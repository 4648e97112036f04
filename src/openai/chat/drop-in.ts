import { call } from '../../call/call.ts'
import { explain } from '../../call/explain.ts'
import { brandExhausted } from '../../call/nesting.ts'
import type { CallContext, Task } from '../../call/task.ts'
import { CallError, type Failure, isCallError } from '../../errors/call-error.ts'
import { classifyError } from '../../errors/classify.ts'
import type { FailureKind } from '../../errors/failure-kinds.ts'
import { attachReport, type CallReport, callReport, shareReport } from '../../report/call-report.ts'
import { ClientClosed } from '../../time.ts'
import { type Answer, CallPromise } from '../api-promise.ts'
import type { ChatClient } from '../chat-client.ts'
import { type ErrorClasses, errorClasses } from '../client.ts'
import type { ApiRequest, Params, RequestOptions } from '../request.ts'
import { StreamTask } from './stream.ts'
import { CompletionTask, ResponseHeadTask } from './task.ts'
import { ToolCallsTask } from './tool-calls.ts'

/** What a drop-in `create` was called with. */
export interface CreateCall {
  readonly client: ChatClient
  readonly context: CallContext
  readonly params: Params
  /** openai accepts a promise of options as well. */
  readonly options: RequestOptions | Promise<RequestOptions>
  /** Checks and resolves them. What it throws rejects the call, as openai's own checks do. */
  readonly prepare: (create: CreateCall, options: RequestOptions) => ApiRequest
}

/** `chat.completions.create` with openai's parameters, results and error classes. */
export function dropInCreate(create: CreateCall): CallPromise<unknown> {
  return CallPromise.of(async (mode) => {
    const { client, context, options, prepare } = create
    const request = prepare(create, options instanceof Promise ? await options : options)
    try {
      if (mode === 'response') return await rawResponse(request, context)
      const tools = toolsToCheck(request)
      if (request.given.facts['stream'] === true) return await streamed(request, context, client)
      const task =
        tools === undefined ? new CompletionTask(request) : new ToolCallsTask(request, tools)
      const { value, report } = await begin(task, request, context)
      attachReport(value.data, report)
      return value
    } catch (error) {
      throw isCallError(error) ? dropInError(error, client) : error
    }
  }, shareReport)
}

/** Starts the call, and holds on to the request where it waits before it has sent anything. */
function begin<T>(
  task: Task<T>,
  request: ApiRequest,
  context: CallContext,
): ReturnType<typeof call<T>> {
  const running = call(task, context)
  request.given.hold()
  return running
}

async function rawResponse(request: ApiRequest, context: CallContext): Promise<Answer<unknown>> {
  const { value, report } = await begin(new ResponseHeadTask(request), request, context)
  attachReport(value.response, report)
  return value
}

async function streamed(
  request: ApiRequest,
  context: CallContext,
  client: ChatClient,
): Promise<Answer<unknown>> {
  let latest: CallReport | undefined
  const broken: unknown[] = []
  const toCallerError = (failure: Failure, so: { attempts: number; elapsedMs: number }) => {
    const error = streamError(failure, { ...so, where: request.targets[0].host }, client)
    broken.push(error)
    if (latest !== undefined) attachReport(error, latest)
    return error
  }
  const { value, report, onEnd } = await begin(
    new StreamTask(request, toCallerError),
    request,
    context,
  )
  latest = report
  attachReport(value.data, report)
  // Weak: a stream that is thrown away unread is ended when it is garbage, where there is such a thing.
  const weak = globalThis.WeakRef ? new WeakRef(value.data) : undefined
  const strong = weak === undefined ? value.data : undefined
  onEnd?.((final) => {
    latest = final
    for (const ended of [weak?.deref() ?? strong, ...broken]) attachReport(ended, final)
  })
  return value
}

/**
 * The provider's own error where there is one; else openai's class for what happened. Either way
 * `callReport` knows the attempts, and no outer steadycall layer retries it.
 */
function dropInError(error: CallError, client: ChatClient): unknown {
  const thrown = errorOfClass(error, errorClasses(client))
  brandExhausted(thrown)
  const report = callReport(error)
  if (report !== undefined) attachReport(thrown, report)
  return thrown
}

function errorOfClass(error: CallError, classes: ErrorClasses | undefined): unknown {
  if (classes === undefined) return errorOfDouble(error)
  const { cause } = error
  // The cause of a refused re-ask is the refusal, not the answer that the call failed with.
  const isRefusal = error.reason === 'reask_refused'
  if (!isRefusal && cause instanceof classes.APIError && isWhatHappened(error, cause)) return cause
  if (isBareClients(error)) return cause
  const made: unknown = madeOfClass(error, classes)
  // Where a test has mocked the module, its classes make no errors.
  return isError(made) ? withCause(made, cause) : errorOfDouble(error)
}

/** A client's own time-out and abort come of our limits; a 408 is the provider's own word. */
function isWhatHappened(error: CallError, cause: object): boolean {
  const kind = error.kind
  if (kind === 'aborted') return false
  const isTime = kind === 'timeout' || kind === 'deadline'
  return !isTime || Reflect.get(cause, 'status') !== undefined
}

function madeOfClass(error: CallError, classes: ErrorClasses): Error {
  const { message } = error
  switch (error.kind) {
    case 'aborted':
      // In openai's own words: many compare them, and there is nothing to add to a caller's own abort.
      return new classes.APIUserAbortError(error.cause instanceof ClientClosed ? { message } : {})
    case 'timeout':
    case 'deadline':
      return new classes.APIConnectionTimeoutError({ message })
    case 'network':
    case 'dns':
    case 'tls':
      return new classes.APIConnectionError({ message })
    default:
      return apiError(error, classes)
  }
}

/** What an attempt threw, of which we know no better than it says itself: as from the bare client. */
function isBareClients({ kind, reason, executed, status, cause }: CallError): boolean {
  // Without a reason to stop for it was no attempt, but a defect of ours.
  if (reason === undefined || executed === 'yes') return false
  // What openai can make no request of, a URL or a header, it throws as it came.
  if (kind === 'invalid_request') return executed === 'no' && status === undefined && isError(cause)
  // With a status it may be an error in disguise, which was not thrown. A caller's own `toJSON`
  // may throw anything.
  return kind === 'unknown' && (status === undefined || isError(cause))
}

/** openai's class for the status, a refused rate limit's being 429; the code names our kind. */
function apiError(error: CallError, { APIError }: ErrorClasses): Error {
  const { kind, message, status } = error
  const known = status ?? (kind === 'rate_limit' ? 429 : undefined)
  const body = { message, code: kind, type: 'steadycall' }
  const headers = hintHeaders(error)
  const generate: unknown = Reflect.get(APIError, 'generate')
  const made: unknown =
    known !== undefined && typeof generate === 'function'
      ? Reflect.apply(generate, APIError, [known, { error: body }, message, headers])
      : undefined
  return made instanceof APIError ? made : new APIError(known, body, message, headers)
}

/** What is left of a hint, as a provider would say it: never less than that. */
function hintHeaders({ retryAfterMs }: CallError): Headers {
  if (retryAfterMs === undefined) return new Headers()
  return new Headers({ 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) })
}

const LIMITS: ReadonlySet<FailureKind> = new Set(['aborted', 'timeout', 'deadline'])

/**
 * A client without error classes, a test's double: what it threw, as it is; where it threw nothing,
 * or only because we had ended the attempt, the `CallError` itself.
 */
function errorOfDouble(error: CallError): unknown {
  const { cause } = error
  const kind = error.kind
  if (error.reason === 'reask_refused') return error
  if (!isError(cause) || (LIMITS.has(kind) && classifyError(cause).kind !== kind)) return error
  return cause
}

function isError(value: unknown): value is Error {
  return Object.prototype.toString.call(value) === '[object Error]'
}

function withCause(error: Error, cause: unknown): Error {
  Object.defineProperty(error, 'cause', { value: cause, configurable: true, writable: true })
  return error
}

/** A stream that broke after its first content, as openai's users catch it. */
function streamError(
  failure: Failure,
  so: { readonly where: string; readonly attempts: number; readonly elapsedMs: number },
  client: ChatClient,
): unknown {
  const message = explain({
    failure,
    ...so,
    reason: 'delivered',
    remainingMs: 0,
    deterministic: false,
  })
  const { kind, cause, status } = failure
  const thrown = errorOfClass(new CallError({ kind, message, cause, status }), errorClasses(client))
  brandExhausted(thrown)
  return thrown
}

/**
 * The tools whose calls have to be checked; undefined where there is nothing to check.
 * @throws {TypeError} for a request whose calls cannot be: better refused than left unguarded.
 */
function toolsToCheck(request: ApiRequest): readonly unknown[] | undefined {
  if (request.options.toolCalls === 'off') return undefined
  const { tools, functions, stream, n } = request.params
  const refuse = (what: string) => {
    throw new TypeError(
      `create(): with toolCalls 'check' ${what}; or set it to 'off' for this call`,
    )
  }
  if (functions !== undefined) refuse('functions must be given as tools')
  if (!Array.isArray(tools) || tools.length === 0) return undefined
  if (stream === true) refuse('stream must be left out: arguments are checked as a whole')
  if (typeof n === 'number' && n > 1) refuse('n must be 1')
  return tools
}
