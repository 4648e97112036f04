import type { Failure, OutputIssue } from '../errors/call-error.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import { readProperty } from '../errors/hostile.ts'
import { parseJson, type Repair } from '../output/parse-json.ts'
import { answerSignature, reaskMessages } from '../output/reask.ts'
import { responseFormatFor } from '../output/response-format.ts'
import type { CompiledSchema } from '../output/schema.ts'
import { factsOf, failureInAnswer } from './answer.ts'
import {
  bodyFor,
  type ChatParams,
  type ChatRequest,
  chatBasics,
  decodeCompletion,
  encodeCompletion,
  saidByGateway,
  sendChat,
} from './chat.ts'
import type { AnswerFacts, Exchange, Job, Sent } from './job.ts'

/** An accepted answer: the completion, and the value that its text became. */
export interface Structured {
  readonly completion: unknown
  readonly value: unknown
  readonly repairs: readonly Repair[]
}

/** `json`: each answer is parsed, repaired and checked; a bad one is asked for again. */
export function structuredJob(request: ChatRequest, schema: CompiledSchema): Job<Structured> {
  const { params, options } = request
  const conversation = new Conversation(request, schema)
  const check = (completion: unknown) => checkCompletion(completion, schema, options.repair)
  const basics = chatBasics('json', request)
  return {
    ...basics,
    telemetry: { ...basics.telemetry, outputType: 'json' },
    // Two schemas make two requests, also where the messages are the same.
    payload: () => ({ ...params, schema: schema.jsonSchema }),
    codec: {
      encode: ({ completion }) => encodeCompletion(completion),
      decode: (result) => ({ completion: decodeCompletion(result), value: undefined, repairs: [] }),
    },
    completionOf: ({ completion }) => completion,
    replayedFacts: ({ completion }) => factsOf(completion, undefined),
    async recheck({ completion }) {
      const checked = await check(completion)
      if (!checked.ok) return { ok: false, failure: failed(checked, {}) }
      return { ok: true, value: { completion, value: checked.value, repairs: checked.repairs } }
    },
    async send(exchange) {
      const answer = await sendChat(request, exchange, conversation.next(exchange))
      const completion = answer.data
      const facts = {
        ...factsOf(completion, answer.response),
        ...saidByGateway(request, exchange, answer),
      }
      const wrong = failureInAnswer(completion, answer.response, exchange.clock)
      if (wrong !== undefined) return { ok: false, failure: wrong, facts, completion }
      const checked = await check(completion)
      return checked.ok
        ? accepted(completion, checked, facts)
        : rejected(completion, checked, facts, conversation)
    },
  }
}

function accepted(
  completion: unknown,
  checked: Checked & { ok: true },
  facts: AnswerFacts,
): Sent<Structured> {
  const { value, repairs } = checked
  return {
    ok: true,
    value: { completion, value, repairs },
    facts: { ...facts, repairs: repairs.map(({ rule }) => rule) },
  }
}

function rejected(
  completion: unknown,
  checked: Checked & { ok: false },
  facts: AnswerFacts,
  conversation: Conversation,
): Sent<Structured> {
  const reask = conversation.note(checked)
  return {
    ok: false,
    failure: failed(checked, facts),
    facts,
    completion,
    ...(reask !== undefined && { reask }),
  }
}

function failed(
  { kind, issues, shownIssues = [], cause }: Checked & { ok: false },
  facts: AnswerFacts,
): Failure {
  return {
    kind,
    retryable: kind === 'empty_response',
    executed: 'yes',
    message: kind,
    issues,
    shownIssues,
    cause,
    ...(facts.status !== undefined && { status: facts.status }),
    ...(facts.requestId !== undefined && { requestId: facts.requestId }),
  }
}

type Checked =
  | { readonly ok: true; readonly value: unknown; readonly repairs: readonly Repair[] }
  | {
      readonly ok: false
      readonly kind: FailureKind
      readonly issues: readonly OutputIssue[]
      readonly text: string
      /** The issues as a message may show them. */
      readonly shownIssues?: readonly string[]
      /** What the schema's own transform threw. */
      readonly cause?: unknown
    }

/** One completion against the schema: its outcome first, then its text. */
async function checkCompletion(
  completion: unknown,
  schema: CompiledSchema,
  level: ChatRequest['options']['repair'],
): Promise<Checked> {
  const { text, finishReason, refusal } = firstChoice(completion)
  const reject = (kind: FailureKind): Checked => ({ ok: false, kind, issues: [], text })
  if (refusal) return reject('refusal')
  if (finishReason === 'content_filter') return reject('content_filter')
  if (finishReason === 'length') return reject('truncated')
  if (text.trim() === '') return reject('empty_response')
  const parsed = parseJson(text, schema, {
    level,
    ...(finishReason !== undefined && { finishReason }),
  })
  if (!parsed.ok) {
    const { kind, issues } = parsed
    return { ok: false, kind, issues, shownIssues: withoutContent(issues, schema), text }
  }
  try {
    const finished = await schema.finish(parsed.value)
    return finished.ok
      ? { ok: true, value: finished.value, repairs: parsed.repairs }
      : {
          ok: false,
          kind: 'schema_mismatch',
          issues: finished.issues,
          // A library's own messages may quote the answer.
          shownIssues: [`${finished.issues.length} found by the schema's own checks`],
          text,
        }
  } catch (cause) {
    // A transform of the user's that throws is his bug, and the answer has been paid for.
    return { ok: false, kind: 'unknown', issues: [], text, cause }
  }
}

/** Paths with every name left out that the schema does not know: it is the model's own text. */
function withoutContent(
  issues: readonly OutputIssue[],
  { jsonSchema }: CompiledSchema,
): readonly string[] {
  const known = JSON.stringify(jsonSchema)
  const isKnown = (segment: string) =>
    /^\d*$/.test(segment) || known.includes(`${JSON.stringify(segment)}:`)
  return issues.map(({ path, message }) => {
    const shown = path.split('/').map((segment) => (isKnown(segment) ? segment : '*'))
    return `${shown.join('/') || '/'} ${message}`
  })
}

function firstChoice(completion: unknown): {
  text: string
  finishReason: string | undefined
  refusal: boolean
} {
  const choice = readProperty(readProperty(completion, 'choices'), '0')
  const message = readProperty(choice, 'message')
  const content = readProperty(message, 'content')
  const finishReason = readProperty(choice, 'finish_reason')
  const refusal = readProperty(message, 'refusal')
  return {
    text: typeof content === 'string' ? content : '',
    finishReason: typeof finishReason === 'string' ? finishReason : undefined,
    refusal: typeof refusal === 'string' && refusal !== '',
  }
}

const OUTPUT_LIMITS = ['max_completion_tokens', 'max_tokens'] as const

/** The request as it grows: what was answered badly, and what is asked for again. */
class Conversation {
  readonly #request: ChatRequest
  #body: ChatParams
  #lastBad: (Checked & { ok: false }) | undefined
  #lastSignature: string | undefined
  #extended = false

  constructor(request: ChatRequest, schema: CompiledSchema) {
    this.#request = request
    this.#body = { ...request.params, response_format: responseFormatFor(schema) }
  }

  /** The body of the attempt that is about to be sent. */
  next(exchange: Exchange): ChatParams {
    if (exchange.cause === 'reask' && this.#lastBad !== undefined) this.#ask(this.#lastBad)
    return bodyFor(this.#request, exchange, this.#body)
  }

  /** Takes note of a bad answer: may it be asked for again, or is it the same one as before? */
  note(bad: Checked & { ok: false }): 'allowed' | 'repeated' | undefined {
    if (bad.kind === 'truncated') return this.#canExtend() ? this.#remember(bad) : undefined
    if (bad.kind !== 'malformed_output' && bad.kind !== 'schema_mismatch') return undefined
    const signature = answerSignature(bad.text)
    if (signature === this.#lastSignature) return 'repeated'
    this.#lastSignature = signature
    return this.#remember(bad)
  }

  #remember(bad: Checked & { ok: false }): 'allowed' {
    this.#lastBad = bad
    return 'allowed'
  }

  /** Once, and only where the caller set a limit that can be doubled. */
  #canExtend(): boolean {
    const { options, params } = this.#request
    return (
      options.onTruncated === 'extend' &&
      !this.#extended &&
      OUTPUT_LIMITS.some((name) => typeof params[name] === 'number')
    )
  }

  /** Changes the end of the request only, so that the provider's prompt cache still matches. */
  #ask(bad: Checked & { ok: false }): void {
    const { kind, issues, text } = bad
    this.#lastBad = undefined
    if (kind === 'truncated') {
      this.#extended = true
      this.#body = { ...this.#body, ...doubledLimits(this.#request.params) }
      return
    }
    if (kind !== 'malformed_output' && kind !== 'schema_mismatch') return
    const messages = this.#body['messages']
    this.#body = {
      ...this.#body,
      messages: [
        ...(Array.isArray(messages) ? messages : []),
        ...reaskMessages({ answer: text, issues, kind }),
      ],
    }
  }
}

function doubledLimits(params: ChatParams): ChatParams {
  const doubled: Record<string, number> = {}
  for (const name of OUTPUT_LIMITS) {
    const limit = params[name]
    if (typeof limit === 'number') doubled[name] = limit * 2
  }
  return doubled
}
