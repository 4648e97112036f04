import type OpenAI from 'openai'
import type { APIPromise } from 'openai'
import type { Stream } from 'openai/streaming'
import { call } from './call/call.ts'
import { beginCall } from './call/nesting.ts'
import {
  processRuntime,
  reopenTarget,
  type TargetStatus,
  targetState,
  targetStatuses,
} from './call/runtime.ts'
import type { CallContext } from './call/task.ts'
import type { AttemptReport, Usage } from './errors/call-error.ts'
import { FunctionTask, type RunContext } from './function-task.ts'
import type { CallPromise } from './openai/api-promise.ts'
import { type CreateCall, dropInCreate } from './openai/chat/drop-in.ts'
import { JsonTask } from './openai/chat/json.ts'
import type { ChatClient } from './openai/chat-client.ts'
import { prepareClient } from './openai/client.ts'
import { clientTimeoutMs, facadeOf } from './openai/facade.ts'
import { type ApiRequest, apiRequest, type Params, type RequestOptions } from './openai/request.ts'
import { checkOption, text } from './options/option-check.ts'
import type { CallOptions, SteadyOptions } from './options/options.ts'
import {
  checkCallOptions,
  checkJsonParams,
  checkNoOptionsIn,
  checkRequestOptions,
  checkSteadyOptions,
  resolveCall,
} from './options/resolve-options.ts'
import type { InferSchema, SchemaInput } from './output/infer.ts'
import type { Repair } from './output/parse-json.ts'
import { compileSchema } from './output/schema.ts'
import { attachReport } from './report/call-report.ts'
import { Closing } from './time.ts'
import { withoutUndefined } from './without-undefined.ts'

type ChatCompletion = OpenAI.Chat.ChatCompletion
type ChatCompletionChunk = OpenAI.Chat.ChatCompletionChunk

/** openai's own request options, plus ours under `steady`. */
export type SteadyRequestOptions = OpenAI.RequestOptions & { readonly steady?: CallOptions }

/** openai's `chat.completions.create`, which also accepts our options. */
export interface SteadyCreate {
  (
    body: OpenAI.Chat.ChatCompletionCreateParamsNonStreaming,
    options?: SteadyRequestOptions,
  ): APIPromise<ChatCompletion>
  (
    body: OpenAI.Chat.ChatCompletionCreateParamsStreaming,
    options?: SteadyRequestOptions,
  ): APIPromise<Stream<ChatCompletionChunk>>
  (
    body: OpenAI.Chat.ChatCompletionCreateParams,
    options?: SteadyRequestOptions,
  ): APIPromise<Stream<ChatCompletionChunk> | ChatCompletion>
}

/** A chat completion request, plus the schema that the answer must match. */
export type JsonParams<S> = Omit<
  OpenAI.Chat.ChatCompletionCreateParamsNonStreaming,
  'stream' | 'response_format' | 'n'
> & {
  /** A JSON Schema, or a Standard (JSON) Schema such as zod 4. */
  readonly schema: S
}

/** Options of `json`: those of every call, plus openai's own. */
export interface JsonOptions extends CallOptions {
  /** openai's own request options: headers, query, timeout, … */
  readonly requestOptions?: OpenAI.RequestOptions
}

/** A valid answer and how it was obtained. */
export interface JsonResult<T> {
  readonly value: T
  /** The completion that contained the answer. */
  readonly completion: ChatCompletion
  readonly attempts: readonly AttemptReport[]
  /** All changes made to the model's text. */
  readonly repairs: readonly Repair[]
  /** The key as given by the caller, derived from the payload, or generated. */
  readonly idempotencyKey: string
  /** `'provider'`: this call did the work. `'store'`: replayed. `'shared'`: joined a call in flight. */
  readonly source: 'provider' | 'store' | 'shared'
  /** False if the result should have been stored and could not be. */
  readonly persisted: boolean
  /** The usage of this call; zero if `source` is not `'provider'`. */
  readonly usage: Usage
  /** For a replayed or shared result: the usage of the call that did the work. */
  readonly replayedUsage?: Usage
}

/** The methods that `steady` adds to a client. */
export interface SteadyMethods {
  /**
   * Asks for JSON and returns a value that matches the schema, or throws.
   * @throws {CallError} of any kind.
   * @throws {TypeError} for an invalid schema, parameter or option, before any request is sent.
   */
  json<const S extends SchemaInput>(
    params: JsonParams<S>,
    options?: JsonOptions,
  ): Promise<JsonResult<InferSchema<S>>>
  /**
   * Runs any promise-returning function under the same policy. With an idempotency key, a `payload` is
   * required, and the result must be JSON.
   * @throws {CallError} whose `cause` is the error thrown by the function.
   * @throws {TypeError} for an invalid argument or option.
   */
  run<T>(
    name: string,
    work: (context: RunContext) => PromiseLike<T> | T,
    options?: CallOptions,
  ): Promise<T>
  /**
   * A snapshot of the health of every target called in this client's runtime, for dashboards: its state, the
   * learned limit, the number of requests in flight and of waiting calls.
   */
  targets(): readonly TargetStatus[]
  /**
   * Reopens the queue of a target that a hint or an outage has closed, for an operator who knows that the
   * problem is over. `target` is a name or an `id` from `targets()`.
   * @returns false if there is no such target.
   * @throws {TypeError} if `target` is not a string of 1 to 4,096 characters.
   */
  reopen(target: string): boolean
  /**
   * Closes this client, for a process that shuts down. Calls that wait for a target or for their own backoff
   * end at once with kind `aborted`, and so does every later call. A request in flight may finish, but no
   * further one is sent. Clients derived with `withOptions` are closed together with the client they come
   * from; other clients are not affected.
   */
  close(): void
}

/** The client with a dependable `create` and our methods. */
// Our types come first, because the types of a test double's `create` are rarely openai's.
export type SteadyClient<C> = {
  readonly chat: { readonly completions: { readonly create: SteadyCreate } }
} & SteadyMethods &
  C

/**
 * Wraps an openai client. The result is used like the client itself: with the same parameters, results and error
 * classes. `instanceof` still works, and all other resources are the client's own.
 * @throws {TypeError} for a client without `chat.completions.create()`, and for an unknown or invalid option.
 * @example
 * const llm = steady(new OpenAI())
 * const { value } = await llm.json({ model, messages, schema })
 */
export function steady<C extends ChatClient>(
  client: C,
  options: SteadyOptions = {},
): SteadyClient<C> {
  checkSteadyOptions(options)
  prepareClient('steady(): client', client)
  for (const [index, { client: other }] of (options.fallbacks ?? []).entries()) {
    if (other !== undefined) prepareClient(`steady(): fallbacks[${index}].client`, other)
  }
  const { runtime = processRuntime() } = options
  return wrap(client, {
    runtime,
    settings: Object.freeze(withoutUndefined(options)),
    multiplied: false,
    closing: new Closing(),
  })
}

function wrap<C extends ChatClient>(client: C, context: CallContext): SteadyClient<C> {
  const own: SteadyMethods = {
    // Safe: the type is inferred from the schema, and the value is what the schema accepted.
    json: (params, options) => json(client, context, params, options) as never,
    run: (name, work, options) => run(client, context, name, work, options),
    targets: () => targetStatuses(context.runtime),
    reopen(target) {
      checkOption('reopen()', 'target', target, TARGET_NAME)
      return reopenTarget(context.runtime, target)
    },
    close: () => context.closing?.close(),
  }
  const facade = facadeOf(client, {
    own: { ...own },
    create: (params: Params, options?: RequestOptions) => create(client, context, params, options),
    wrapAgain(derived) {
      prepareClient('withOptions()', derived)
      return wrap(derived, context)
    },
  })
  // Safe: the proxy provides exactly the members that SteadyClient adds.
  return facade as SteadyClient<C>
}

function create(
  client: ChatClient,
  context: CallContext,
  params: Params,
  options: RequestOptions = {},
): CallPromise<unknown> {
  beginCall()
  return dropInCreate({ client, context, params, options, prepare: prepareCreate })
}

function prepareCreate(
  { client, context, params }: CreateCall,
  options: RequestOptions,
): ApiRequest {
  const { steady: own = NO_OPTIONS, ...requestOptions } = options ?? {}
  checkNoOptionsIn('create', params)
  checkRequestOptions('create', requestOptions)
  if (own !== NO_OPTIONS) checkCallOptions('create(): steady', own)
  return apiRequest('create', client, context, params, requestOptions, own)
}

async function json(
  client: ChatClient,
  context: CallContext,
  params: unknown,
  options: JsonOptions = NO_OPTIONS,
): Promise<JsonResult<unknown>> {
  beginCall()
  const { requestOptions = {}, ...own } = options ?? {}
  if (options !== NO_OPTIONS) checkCallOptions('json()', own)
  checkRequestOptions('json', requestOptions)
  checkNoOptionsIn('json', params)
  const { schema, ...body } = checkJsonParams(params)
  // Spread into a plain object, whose properties can be read by name.
  const request = apiRequest('json', client, context, body, { ...requestOptions }, own)
  const compiled = compileSchema(schema, request.options.regExp)
  const { value: answer, report } = await call(new JsonTask(request, compiled), context)
  const { attempts, idempotencyKey, source, persisted, usage, replayedUsage } = report
  const result: JsonResult<unknown> = {
    value: answer.value,
    // Safe: returned by the client's `create`, and recognised as a completion by `classifyErrorBody`.
    completion: answer.completion as ChatCompletion,
    attempts,
    repairs: answer.repairs,
    idempotencyKey,
    source,
    persisted,
    usage,
    ...(replayedUsage !== undefined && { replayedUsage }),
  }
  attachReport(result, report)
  return result
}

/** The options of a call that has none; they need no check. */
const NO_OPTIONS: CallOptions = Object.freeze({})

const RUN_NAME = text(255)
const TARGET_NAME = text(4_096)

async function run<T>(
  client: ChatClient,
  context: CallContext,
  name: string,
  work: (context: RunContext) => PromiseLike<T> | T,
  own: CallOptions = {},
): Promise<T> {
  checkOption('run()', 'name', name, RUN_NAME)
  if (typeof work !== 'function') {
    throw new TypeError(`run(): the second argument must be a function, got ${typeof work}`)
  }
  checkCallOptions('run()', own)
  const { runtime, settings } = context
  const options = resolveCall(settings, own, {
    face: 'run',
    clientTimeoutMs: clientTimeoutMs(client),
  })
  const keyed = options.idempotencyKey !== undefined || options.idempotency === 'derive'
  if (keyed && options.payload === undefined) {
    throw new TypeError('run(): payload must be given: an idempotency key needs one to bind to')
  }
  const target = { key: `run ${name}`, name: `run ${name}` }
  const state = targetState(runtime, target, settings)
  const task = new FunctionTask<T>({ name, options, state, work })
  const { value, report } = await call(task, context)
  attachReport(value, report)
  return value
}
