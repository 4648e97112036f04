import type { AnswerFacts, Codec, Exchange, Sent } from '../../call/task.ts'
import type { Failure } from '../../errors/call-error.ts'
import { readEnvelope } from '../../errors/envelope.ts'
import { readProperty, readText } from '../../errors/hostile.ts'
import { foundAtRoot, toldOf } from '../../output/named-path.ts'
import type { Repair } from '../../output/parse-json.ts'
import { answerSignature, carrying, type ReaskMessage, reaskMessages } from '../../output/reask.ts'
import {
  couldBe,
  type FormatRequest,
  formatRequest,
  withInstructions,
} from '../../output/response-format.ts'
import type { CompiledSchema } from '../../output/schema.ts'
import { missedIn, speaksOfCarried } from '../../output/tool-calls.ts'
import type { TargetState } from '../../retry/health/target-state.ts'
import { refusesReask } from '../../retry/loop-contract.ts'
import type { Waiting } from '../../time.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import type { ApiRequest, Params } from '../request.ts'
import { wireOf } from '../wire.ts'
import {
  type Checked,
  checkCompletion,
  formatFor,
  ignoresFormat,
  learnFormat,
  learnIgnored,
  waitingForOthers,
} from './checked.ts'
import { adviceOnCut, doubledLimits, factsOf } from './shape.ts'
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

/** What is sent next, and how it asks for JSON. */
export interface Asked {
  readonly body: Params
  readonly format: FormatRequest
  readonly target: TargetState | undefined
}

/** A message at the end of the request. */
interface Appended {
  readonly message: ReaskMessage
  /** The answer that it is about, as it came, and where from. */
  readonly original: unknown
  readonly from: TargetState | undefined
}

/** The request as it grows: what was answered badly, and what is asked for again. */
export class Conversation {
  readonly #request: ApiRequest
  readonly #schema: CompiledSchema
  /** By how they ask: the same request has to be the same object, to keep its `Idempotency-Key`. */
  readonly #bodies = new Map<string, Params>()
  /** Is the schema said in the messages, though the format says it too? As it was at first. */
  readonly #reminds = new Map<TargetState | undefined, boolean>()
  readonly #appended: Appended[] = []
  /** The target has refused what its own answers carried. */
  #carries = true
  /** Fields of bad answers that a refusal has asked for. */
  readonly #wanted = new Set<string>()
  #limits: Params = {}
  #lastBad: { readonly bad: Checked & { ok: false }; readonly asked: Asked } | undefined
  #lastSignature: string | undefined

  constructor(request: ApiRequest, schema: CompiledSchema) {
    this.#request = request
    this.#schema = schema
  }

  /** What the attempt that is about to be made sends. */
  next(exchange: Exchange): Asked {
    if (exchange.cause === 'reask' && this.#lastBad !== undefined) this.#ask(this.#lastBad)
    const { targets, options } = this.#request
    const target = targets[exchange.target]?.state
    const format = formatRequest(
      this.#schema,
      formatFor(target, options.responseFormat, this.#schema),
    )
    const reminds = this.#mustRemind(target)
    const how = `${format.format} ${reminds} ${this.#carries && exchange.target} ${this.#wanted.size}`
    const body = this.#bodies.get(how) ?? this.#bodyIn(format, reminds, target)
    this.#bodies.set(how, body)
    return { body: this.#request.bodyFor(exchange, body), format, target }
  }

  /**
   * Was the re-ask refused for something that the bad answer has beside its text? What was sent of it
   * is left out then, or what was not sent goes with it, and the request is worth sending once more.
   */
  amended(refusal: string, { target }: Asked): boolean {
    const originals = this.#appended
      .filter(({ from }) => this.#carries && from === target)
      .map(({ original }) => original)
    if (originals.some((original) => speaksOfCarried(refusal, original))) {
      this.#carries = false
      return true
    }
    const { size } = this.#wanted
    for (const name of originals.flatMap((original) => missedIn(refusal, original))) {
      this.#wanted.add(name)
    }
    return this.#wanted.size > size
  }

  #bodyIn(format: FormatRequest, reminds: boolean, target: TargetState | undefined): Params {
    const { parameter, reminder } = format
    const instructions = format.instructions ?? (reminds ? reminder : undefined)
    const { params } = this.#request
    const { messages } = params
    if (this.#appended.length === 0 && instructions === undefined) {
      return { ...params, ...this.#limits, response_format: parameter }
    }
    const first =
      instructions === undefined ? messagesOf(messages) : withInstructions(messages, instructions)
    return {
      ...params,
      ...this.#limits,
      messages: [
        ...first,
        // Another provider may not know what this one adds to its answers.
        ...this.#appended.map(({ message, original, from }) =>
          this.#carries && from === target ? carrying(message, original, this.#wanted) : message,
        ),
      ],
      ...(parameter !== undefined && { response_format: parameter }),
    }
  }

  /** Decided once: what is learned during the call must not change its prefix. */
  #mustRemind(target: TargetState | undefined): boolean {
    const { responseFormat } = this.#request.options
    const reminds =
      this.#reminds.get(target) ?? (responseFormat === 'auto' && ignoresFormat(target))
    this.#reminds.set(target, reminds)
    return reminds
  }

  /** Remembers a target whose answers show that it does not follow the format. */
  learn({ kind, text }: Checked & { ok: false }, { format, target }: Asked): void {
    const { responseFormat, regExp } = this.#request.options
    if (responseFormat !== 'auto' || target === undefined || format.reminder === undefined) return
    if (kind !== 'malformed_output' && kind !== 'schema_mismatch') return
    if (!couldBe(text, format, regExp)) learnIgnored(target)
  }

  /** Takes note of a bad answer: may it be asked for again, or is it the same one as before? */
  note(bad: Checked & { ok: false }, asked: Asked): 'allowed' | 'repeated' | undefined {
    if (bad.kind === 'truncated') return this.#canExtend() ? this.#remember(bad, asked) : undefined
    if (bad.kind !== 'malformed_output' && bad.kind !== 'schema_mismatch') return undefined
    const signature = answerSignature(bad.text)
    if (signature === this.#lastSignature) return 'repeated'
    this.#lastSignature = signature
    return this.#remember(bad, asked)
  }

  #remember(bad: Checked & { ok: false }, asked: Asked): 'allowed' {
    this.#lastBad = { bad, asked }
    return 'allowed'
  }

  /** What to do about an answer that was cut. */
  get adviceOnCut(): string {
    const { options, params } = this.#request
    return adviceOnCut(params, this.#limits, options.onTruncated)
  }

  /** Once, and only where the caller set a limit that can be doubled. */
  #canExtend(): boolean {
    const { options, params } = this.#request
    return (
      options.onTruncated === 'extend' &&
      Object.keys(this.#limits).length === 0 &&
      Object.keys(doubledLimits(params)).length > 0
    )
  }

  /** Changes the end of the request only, so that the provider's prompt cache still matches. */
  #ask({ bad, asked }: { readonly bad: Checked & { ok: false }; readonly asked: Asked }): void {
    const { kind, issues, text, message: original } = bad
    this.#lastBad = undefined
    this.#bodies.clear()
    if (kind === 'truncated') this.#limits = doubledLimits(this.#request.params)
    if (kind !== 'malformed_output' && kind !== 'schema_mismatch') return
    const answer = { answer: text, issues, kind }
    // Said once. It is what a provider that ignores the format, or a keyword, has not read yet.
    const isSaid = this.#appended.length > 0 || this.#mustRemind(asked.target)
    const usual = reaskMessages(answer, isSaid ? undefined : asked.format.reminder)
    const { reaskMessages: own } = this.#request.options
    const messages = own === undefined ? usual : checkedMessages(own(answer, usual))
    const from = asked.target
    this.#appended.push(...messages.map((message) => ({ message, original, from })))
  }
}

/** @throws {TypeError} for what is no list of messages: a mistake in the caller's function. */
function checkedMessages(messages: readonly ReaskMessage[]): readonly ReaskMessage[] {
  const isMessage = (message: unknown) => typeof readProperty(message, 'role') === 'string'
  if (Array.isArray(messages) && messages.every(isMessage)) return messages
  throw new TypeError('reaskMessages: it must return an array of messages with a role')
}

function messagesOf(messages: unknown): readonly unknown[] {
  return Array.isArray(messages) ? messages : []
}
