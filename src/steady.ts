import type OpenAI from 'openai'
import type { APIPromise } from 'openai'
import type { Stream } from 'openai/streaming'
import { call } from './call/call.ts'
import { beginCall } from './call/call-flow.ts'
import { FunctionTask, type RunContext } from './call/function-task.ts'
import { processRuntime, targetState } from './call/runtime.ts'
import { reopenTarget, type TargetStatus, targetStatuses } from './call/target-status.ts'
import type { CallContext } from './call/task.ts'
import type { AttemptReport, Usage } from './errors/call-error.ts'
import type { CallPromise } from './openai/api-promise.ts'
import { checkJsonParams, JsonTask } from './openai/chat/json.ts'
import { type ChatClient, clientTimeoutMs, errorClasses, prepareClient } from './openai/client.ts'
import { dropInCreate } from './openai/drop-in.ts'
import { facadeOf } from './openai/facade.ts'
import type { Params } from './openai/given-params.ts'
import { apiRequest, type RequestOptions } from './openai/request.ts'
import {
  checkCallOptions,
  checkNoOptionsIn,
  checkRequestOptions,
  checkSteadyOptions,
} from './options/check-options.ts'
import { checkOption, text } from './options/option-check.ts'
import type { CallOptions, SteadyOptions } from './options/options.ts'
import { resolveCall } from './options/resolve-options.ts'
import type { InferSchema, SchemaInput } from './output/infer.ts'
import type { Repair } from './output/parse-json.ts'
import { compileSchema } from './output/schema.ts'
import { attachReport } from './report/call-report.ts'
import { Closing } from './retry/closing.ts'
import { withoutUndefined } from './without-undefined.ts'

type ChatCompletion = OpenAI.Chat.ChatCompletion
type ChatCompletionChunk = OpenAI.Chat.ChatCompletionChunk

/** openai's own request options, with ours under `steady`. */
export type SteadyRequestOptions = OpenAI.RequestOptions & { readonly steady?: CallOptions }

/** `chat.completions.create` as openai has it, taking our options too. */
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

/** A chat completion request, with the schema its answer must match. */
export type JsonParams<S> = Omit<
  OpenAI.Chat.ChatCompletionCreateParamsNonStreaming,
  'stream' | 'response_format' | 'n'
> & {
  /** JSON Schema, or any Standard (JSON) Schema such as zod 4. */
  readonly schema: S
}

export interface JsonOptions extends CallOptions {
  /** openai's own options for the requests: headers, query, timeout, … */
  readonly requestOptions?: OpenAI.RequestOptions
}

/** A valid answer, and how it came about. */
export interface JsonResult<T> {
  readonly value: T
  /** The completion it came from. */
  readonly completion: ChatCompletion
  readonly attempts: readonly AttemptReport[]
  /** Each change made to the raw output. */
  readonly repairs: readonly Repair[]
  /** Given, derived or generated. */
  readonly idempotencyKey: string
  /** `'shared'`: joined a call in flight. */
  readonly source: 'provider' | 'store' | 'shared'
  /** False when the store could not keep a paid result. */
  readonly persisted: boolean
  /** What this call caused: zero when `source` is not `'provider'`. */
  readonly usage: Usage
  /** What the work cost when it was done, where it was not done for this call. */
  readonly replayedUsage?: Usage
}

export interface SteadyMethods {
  /**
   * Asks for JSON and returns a value that matched the schema, or throws.
   * @throws {CallError} of every kind.
   * @throws {TypeError} for a schema, parameter or option that cannot be used, before any request.
   */
  json<const S extends SchemaInput>(
    params: JsonParams<S>,
    options?: JsonOptions,
  ): Promise<JsonResult<InferSchema<S>>>
  /**
   * Runs any promise-returning function under the same policy. A key needs a `payload` to bind to,
   * and its result must be JSON.
   * @throws {CallError} whose `cause` is what the function threw.
   */
  run<T>(
    name: string,
    work: (context: RunContext) => PromiseLike<T> | T,
    options?: CallOptions,
  ): Promise<T>
  /**
   * The health of every target that calls of this client's runtime have gone to, for dashboards:
   * its state, the limit that was learned, how many requests are in flight and how many calls wait. A snapshot.
   */
  targets(): readonly TargetStatus[]
  /**
   * Opens the line of a target that a hint or an outage has closed: for an operator who knows that it is over.
   * `target` is a name or an `id` of `targets()`.
   * @returns false where no target is named so.
   */
  reopen(target: string): boolean
  /**
   * Ends this client, for a process that shuts down: its calls that wait for a target, or for their own
   * backoff, end at once with kind `aborted`, and so does every call that is made from now on. A request
   * in flight may finish; nothing is sent after it. Other clients are not touched, but for those that
   * `withOptions` has made of this one, or the other way round: they end together.
   */
  close(): void
}

/** The client, with `create` made dependable and our methods added. */
// Ours first: what a double's own `create` says of itself is seldom what openai says.
export type SteadyClient<C> = {
  readonly chat: { readonly completions: { readonly create: SteadyCreate } }
} & SteadyMethods &
  C

/**
 * Wraps an openai client. The result is used like the client itself: same parameters, results and
 * error classes; `instanceof` holds, and other resources are the client's own.
 * @throws {TypeError} for a client without `chat.completions.create()`, and for any option that is not as documented.
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
    // The result's type is inferred from the schema; its value is what that schema accepted.
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
    create: (params: Params, options?: RequestOptions) =>
      create(client, context, params, options),
    wrapAgain(derived) {
      prepareClient('withOptions()', derived)
      return wrap(derived, context)
    },
  })
  // The proxy answers exactly the names that SteadyClient adds.
  return facade as SteadyClient<C>
}

function create(
  client: ChatClient,
  context: CallContext,
  params: Params,
  options: RequestOptions = {},
): CallPromise<unknown> {
  beginCall()
  const prepare = (given: RequestOptions) => {
    const { steady: own = {}, ...requestOptions } = given ?? {}
    checkNoOptionsIn('create', params)
    checkRequestOptions('create', requestOptions)
    checkCallOptions('create(): steady', own)
    return { context, request: apiRequest('create', client, context, params, requestOptions, own) }
  }
  // openai waits for options that are a promise.
  const whenGiven = () => (options instanceof Promise ? options.then(prepare) : prepare(options))
  return dropInCreate(whenGiven, () => errorClasses(client))
}

async function json(
  client: ChatClient,
  context: CallContext,
  params: unknown,
  options: JsonOptions = {},
): Promise<JsonResult<unknown>> {
  beginCall()
  const { requestOptions = {}, ...own } = options ?? {}
  checkCallOptions('json()', own)
  checkRequestOptions('json', requestOptions)
  checkNoOptionsIn('json', params)
  const { schema, ...body } = checkJsonParams(params)
  // openai's options are read by name, like any object's.
  const request = apiRequest('json', client, context, body, { ...requestOptions }, own)
  const compiled = compileSchema(schema, request.options.regExp)
  const { value: answer, report } = await call(new JsonTask(request, compiled), context)
  const { attempts, idempotencyKey, source, persisted, usage, replayedUsage } = report
  const result: JsonResult<unknown> = {
    value: answer.value,
    // What the client's `create` returned, and `classifyErrorBody` found to be a completion.
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
  const task = new FunctionTask<T>({ face: 'run', name, options, state, work })
  const { value, report } = await call(task, context)
  attachReport(value, report)
  return value
}
