import type { Exchange } from '../../call/task.ts'
import { readProperty } from '../../errors/hostile.ts'
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
import type { ApiRequest, Params } from '../request.ts'
import { type Checked, formatFor, ignoresFormat, learnIgnored } from './checked.ts'
import { adviceOnCut, doubledLimits } from './shape.ts'

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
