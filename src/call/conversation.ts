import { readProperty } from '../errors/hostile.ts'
import { answerSignature, type ReaskMessage, reaskMessages } from '../output/reask.ts'
import { type FormatRequest, formatRequest, withInstructions } from '../output/response-format.ts'
import type { CompiledSchema } from '../output/schema.ts'
import { bodyFor, type ChatParams, type ChatRequest } from './chat.ts'
import type { Checked } from './checked.ts'
import { formatFor } from './formats.ts'
import type { Exchange } from './job.ts'

/** What is sent next, and how it asks for JSON. */
interface Asked {
  readonly body: ChatParams
  readonly format: FormatRequest
}

/** The request as it grows: what was answered badly, and what is asked for again. */
export class Conversation {
  readonly #request: ChatRequest
  readonly #schema: CompiledSchema
  /** By format: the same request has to be the same object, to keep its `Idempotency-Key`. */
  readonly #bodies = new Map<FormatRequest, ChatParams>()
  readonly #appended: ReaskMessage[] = []
  #limits: ChatParams = {}
  #lastBad: (Checked & { ok: false }) | undefined
  #lastSignature: string | undefined

  constructor(request: ChatRequest, schema: CompiledSchema) {
    this.#request = request
    this.#schema = schema
  }

  /** What the attempt that is about to be made sends. */
  next(exchange: Exchange): Asked {
    if (exchange.cause === 'reask' && this.#lastBad !== undefined) this.#ask(this.#lastBad)
    const { targets, options } = this.#request
    const state = targets[exchange.target]?.state
    const format = formatRequest(
      this.#schema,
      formatFor(state, options.responseFormat, this.#schema),
    )
    const body = this.#bodies.get(format) ?? this.#bodyIn(format)
    this.#bodies.set(format, body)
    return { body: bodyFor(this.#request, exchange, body), format }
  }

  #bodyIn({ parameter, instructions }: FormatRequest): ChatParams {
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
      messages: [...first, ...this.#appended],
      ...(parameter !== undefined && { response_format: parameter }),
    }
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
      Object.keys(this.#limits).length === 0 &&
      OUTPUT_LIMITS.some((name) => typeof params[name] === 'number')
    )
  }

  /** Changes the end of the request only, so that the provider's prompt cache still matches. */
  #ask(bad: Checked & { ok: false }): void {
    const { kind, issues, text } = bad
    this.#lastBad = undefined
    this.#bodies.clear()
    if (kind === 'truncated') this.#limits = doubledLimits(this.#request.params)
    if (kind !== 'malformed_output' && kind !== 'schema_mismatch') return
    const answer = { answer: text, issues, kind }
    const usual = reaskMessages(answer)
    const { reaskMessages: own } = this.#request.options
    this.#appended.push(...(own === undefined ? usual : checkedMessages(own(answer, usual))))
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

const OUTPUT_LIMITS = ['max_completion_tokens', 'max_tokens'] as const

/** The caller's output limits, twice as high; empty where there are none. */
export function doubledLimits(params: ChatParams): ChatParams {
  const doubled: Record<string, number> = {}
  for (const name of OUTPUT_LIMITS) {
    const limit = params[name]
    if (typeof limit === 'number') doubled[name] = limit * 2
  }
  return doubled
}
