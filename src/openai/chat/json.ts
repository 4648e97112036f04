import type { AnswerFacts, Codec, Exchange, Sent } from '../../call/task.ts'
import type { Failure } from '../../errors/call-error.ts'
import { readEnvelope } from '../../errors/envelope.ts'
import { readProperty, readText } from '../../errors/hostile.ts'
import { foundAtRoot, toldOf } from '../../output/named-path.ts'
import type { Repair } from '../../output/parse-json.ts'
import { type FormatRequest, formatRequest } from '../../output/response-format.ts'
import type { CompiledSchema } from '../../output/schema.ts'
import { refusesReask } from '../../retry/loop-contract.ts'
import type { Waiting } from '../../time.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import type { ApiRequest, Params } from '../request.ts'
import { wireOf } from '../wire.ts'
import { type Checked, checkCompletion, learnFormat, waitingForOthers } from './checked.ts'
import { type Asked, Conversation } from './conversation.ts'
import { factsOf } from './shape.ts'
import { ChatTask, decodeCompletion, encodeCompletion } from './task.ts'

/** An accepted answer: the completion, and the value that its text became. */
export interface Structured {
  readonly completion: unknown
  readonly value: unknown
  readonly repairs: readonly Repair[]
}

/** `json`: each answer is parsed, repaired and checked; a bad one is asked for again. */
export class JsonTask extends ChatTask<Structured> {
  readonly codec: Codec<Structured> = structuredCodec
  readonly #params: Params
  readonly #schema: CompiledSchema
  readonly #conversation: Conversation

  constructor(request: ApiRequest, schema: CompiledSchema) {
    // Read first: what the caller's own getters throw reaches the caller as it is, and the rest is made of
    // the JSON that is sent.
    const { params } = request
    super(request)
    this.#params = params
    this.#schema = schema
    this.#conversation = new Conversation(request, schema)
  }

  // Two schemas make two requests, also where the messages are the same.
  override payload(): unknown {
    return { ...this.#params, schema: this.#schema.jsonSchema }
  }

  override describe(): ReturnType<ChatTask<Structured>['describe']> {
    return { ...super.describe(), outputType: 'json' }
  }

  override identify(): ReturnType<ChatTask<Structured>['identify']> {
    return this.identityOf({
      ...this.#params,
      schema: this.#schema.jsonSchema,
      responseFormat: this.options.responseFormat,
    })
  }

  completionOf({ completion }: Structured): unknown {
    return completion
  }

  replayedFacts({ completion }: Structured): AnswerFacts {
    return factsOf(completion, undefined)
  }

  async recheck(
    { completion }: Structured,
    waiting: Waiting,
  ): Promise<{ ok: true; value: Structured } | { ok: false; failure: Failure }> {
    // In which format it was asked for is not known here: most probably in the first.
    const checked = await this.#check(completion, formatRequest(this.#schema, 'strict'), waiting)
    if (!checked.ok) return { ok: false, failure: failed(checked, {}) }
    return { ok: true, value: { completion, value: checked.value, repairs: checked.repairs } }
  }

  async late(
    came: unknown,
    exchange: Exchange,
  ): Promise<{ readonly late: Structured } | undefined> {
    const answer = this.lateAnswer(came, exchange)
    if (answer === undefined) return undefined
    const completion = answer.data
    const format = formatRequest(this.#schema, 'strict')
    const checked = await this.#check(completion, format, waitingForOthers(exchange.clock))
    if (!checked.ok) return undefined
    return { late: { completion, value: checked.value, repairs: checked.repairs } }
  }

  async send(exchange: Exchange): Promise<Sent<Structured>> {
    const conversation = this.#conversation
    const asked = conversation.next(exchange)
    const answer = await this.complete(exchange, asked.body).catch((error: unknown) =>
      this.#refused(error, exchange, asked),
    )
    if ('ok' in answer) return answer
    const completion = answer.data
    const { facts, failure } = this.readAnswer(answer, exchange)
    if (failure !== undefined) {
      const amended = reaskAmended(failure, completion, asked, conversation)
      const reask = amended ? ('allowed' as const) : undefined
      return withoutUndefined({ ok: false as const, failure, facts, completion, reask })
    }
    const checked = await this.#check(completion, asked.format, exchange.bounds.waiting)
    if (checked.ok) return accepted(completion, checked, facts)
    conversation.learn(checked, asked)
    const reask = conversation.note(checked, asked)
    return rejected(completion, { ...checked, ...adviceOn(checked, conversation) }, facts, reask)
  }

  /** What was thrown may be an answer like another, or say how else to ask. */
  #refused(error: unknown, exchange: Exchange, asked: Asked): Sent<Structured> {
    const conversation = this.#conversation
    const { status, errorBody } = wireOf(exchange)
    const facts = this.thrownFacts(exchange)
    const bad = answerRefused(error, status === 400 ? errorBody : undefined)
    if (bad !== undefined) return rejected(undefined, bad, facts, conversation.note(bad, asked))
    const failure = this.thrown(error, exchange)
    const amended = reaskAmended(failure, errorBody, asked, conversation)
    if (!amended && !this.#mayAskOtherwise(error, failure, exchange, asked)) throw error
    return { ok: false, failure, facts, reask: 'allowed' }
  }

  /**
   * May a target that cannot be asked in this format be asked again in another one? That is remembered
   * for its other calls.
   */
  #mayAskOtherwise(
    error: unknown,
    { kind }: Failure,
    exchange: Exchange,
    { format: { format: asked } }: Asked,
  ): boolean {
    const state = this.targets[exchange.target]?.state
    if (this.options.responseFormat !== 'auto' || state === undefined) return false
    const { status, errorBody: body } = wireOf(exchange)
    return learnFormat(state, { error, kind, status, body, asked, schema: this.#schema })
  }

  #check(completion: unknown, format: FormatRequest, waiting: Waiting): Promise<Checked> {
    const { repair: level, regExp } = this.options
    return checkCompletion(completion, this.#schema, { level, regExp, format }, waiting)
  }
}

/** The completion is kept, not the value: each caller checks it against its own schema. */
const structuredCodec: Codec<Structured> = {
  encode: ({ completion }) => encodeCompletion(completion),
  decode: (result) => ({ completion: decodeCompletion(result), value: undefined, repairs: [] }),
}

/**
 * Groq checks the answer itself, and gives it back under 400 where it is no JSON
 * (console.groq.com/docs/structured-outputs): an answer like another, to be asked for again.
 */
function answerRefused(
  error: unknown,
  errorBody: string | undefined,
): (Checked & { ok: false }) | undefined {
  const { parts } = readEnvelope(errorBody)
  const refused = parts.find((part) => readProperty(part, 'code') === 'json_validate_failed')
  if (refused === undefined) return undefined
  const text = readText(refused, 'failed_generation', MAX_REFUSED_CHARS) ?? ''
  const issues = [foundAtRoot('the provider could not read it as JSON of the schema')]
  return { ok: false, kind: 'malformed_output', issues, text, cause: error }
}

/** Was a re-ask refused for what it has, or has not, of the bad answer beside its text? */
function reaskAmended(
  failure: Failure,
  refusal: unknown,
  asked: Asked,
  conversation: Conversation,
): boolean {
  if (!refusesReask(failure)) return false
  const said = typeof refusal === 'string' ? refusal : JSON.stringify(refusal)
  return conversation.amended(said ?? '', asked)
}

// As much as an answer that is parsed at all may have.
const MAX_REFUSED_CHARS = 4 * 1024 * 1024

function accepted(
  completion: unknown,
  checked: Checked & { ok: true },
  facts: AnswerFacts,
): Sent<Structured> {
  const { value, repairs } = checked
  return {
    ok: true,
    value: { completion, value, repairs },
    facts: { ...facts, repairs },
  }
}

/** What the request tells more of than the kind does. */
function adviceOn(
  { kind, advice }: Checked & { ok: false },
  conversation: Conversation,
): { readonly advice?: string } {
  if (kind !== 'truncated' || advice !== undefined) return {}
  return { advice: conversation.adviceOnCut }
}

function rejected(
  completion: unknown,
  checked: Checked & { ok: false },
  facts: AnswerFacts,
  reask: 'allowed' | 'repeated' | undefined,
): Sent<Structured> & { ok: false } {
  return {
    ok: false,
    failure: failed(checked, facts),
    facts,
    completion,
    ...(reask !== undefined && { reask }),
  }
}

function failed(
  { kind, issues, cause, detail, advice }: Checked & { ok: false },
  facts: AnswerFacts,
): Failure {
  return {
    ...(detail !== undefined && { detail }),
    ...(advice !== undefined && { advice }),
    kind,
    retryable: kind === 'empty_response',
    // It was answered, but the answer was not read to its end.
    executed: kind === 'aborted' || kind === 'deadline' ? 'maybe' : 'yes',
    message: kind,
    issues: toldOf(issues),
    cause,
    ...(facts.status !== undefined && { status: facts.status }),
    ...(facts.requestId !== undefined && { requestId: facts.requestId }),
  }
}

/** Parameters that would make another kind of answer than one JSON value. */
const REFUSED_BY_JSON = {
  stream: 'an answer can only be checked whole',
  response_format: 'it is made from the schema',
  functions: 'it asks for JSON; use create() for calls of functions',
} as const

/** @throws {TypeError} for a parameter that `json` cannot use, before any request. */
export function checkJsonParams(params: unknown): Params {
  if (typeof params !== 'object' || params === null) {
    throw new TypeError(
      `json(): params must be an object, got ${params === null ? 'null' : typeof params}`,
    )
  }
  const given: Params = { ...params }
  for (const [name, why] of Object.entries(REFUSED_BY_JSON)) {
    if (!isAbsent(given[name])) throw new TypeError(`json(): ${name} must be left out: ${why}`)
  }
  const { n, tools, tool_choice: toolChoice, model, messages, schema } = given
  if (!isAbsent(n) && n !== 1) {
    throw new TypeError(`json(): n must be 1 or left out, got ${String(n)}`)
  }
  if (!isAbsent(tools) && toolChoice !== 'none') {
    throw new TypeError("json(): tools must be left out, or tool_choice be 'none'")
  }
  if (typeof model !== 'string' || model === '') {
    throw new TypeError('json(): model must be the name of a model')
  }
  if (!Array.isArray(messages)) throw new TypeError('json(): messages must be an array')
  if (schema === undefined) {
    throw new TypeError('json(): schema must be a JSON Schema or a Standard Schema')
  }
  return given
}

/** openai takes null for "left out" too. */
function isAbsent(value: unknown): boolean {
  return value === undefined || value === null
}
