import type { AnswerFacts, Exchange, Sent } from '../../call/task.ts'
import type { Failure } from '../../errors/call-error.ts'
import type { FailureKind } from '../../errors/failure-kinds.ts'
import { readProperty } from '../../errors/hostile.ts'
import { canonicalJson } from '../../idempotency/key.ts'
import { MAX_ISSUES } from '../../output/issues.ts'
import { toldOf } from '../../output/named-path.ts'
import { saysTruncated } from '../../output/parse-json.ts'
import { answerSignature } from '../../output/reask.ts'
import type { Repair } from '../../output/repair-rules.ts'
import {
  type BadCall,
  callAgain,
  checkCall,
  isFunctionCall,
  type Tools,
  toolsOf,
} from '../../output/tool-calls.ts'
import type { Resting } from '../../output/work.ts'
import type { Waiting } from '../../time.ts'
import type { Answer } from '../api-promise.ts'
import type { ApiRequest, Params } from '../request.ts'
import { ReadingEnded, readInTurns, waitingForOthers } from './checked.ts'
import { adviceOnCut, doubledLimits, firstChoice } from './shape.ts'
import { CompletionTask } from './task.ts'

/**
 * The drop-in call with `toolCalls: 'check'`: the arguments of each call of a function follow its
 * parameters, or it is asked for again. What comes back is the completion that came first, with
 * every call in its place and under its id.
 */
export class ToolCallsTask extends CompletionTask {
  readonly #asked: ToolConversation

  /** @throws {TypeError} for tools that cannot be checked. */
  constructor(request: ApiRequest, tools: readonly unknown[]) {
    super(request)
    this.#asked = new ToolConversation(request, toolsOf(tools, request.options.regExp))
  }

  async recheck(
    answer: Answer<unknown>,
    waiting: Waiting,
  ): Promise<{ ok: true; value: Answer<unknown> } | { ok: false; failure: Failure }> {
    const checked = await unlessEnded(readInTurns(this.#asked.check(answer.data), waiting), {})
    if ('failure' in checked) return { ok: false, failure: checked.failure }
    if (checked.bad === undefined) return { ok: true, value: answer }
    return { ok: false, failure: failed(checked.bad, {}) }
  }

  override async late(
    came: unknown,
    exchange: Exchange,
  ): Promise<{ readonly late: Answer<unknown> } | undefined> {
    const answer = this.lateAnswer(came, exchange)
    // What is asked for again is a part only.
    if (answer === undefined || this.#asked.isAgain) return undefined
    if (unfinished(answer.data) !== undefined) return undefined
    const others = waitingForOthers(exchange.clock)
    const { bad } = await readInTurns(this.#asked.check(answer.data), others)
    return bad === undefined ? { late: answer } : undefined
  }

  override async send(exchange: Exchange): Promise<Sent<Answer<unknown>>> {
    const answer = await this.complete(exchange, this.#asked.next(exchange))
    const completion = answer.data
    const { facts, failure } = this.readAnswer(answer, exchange)
    if (failure !== undefined) return { ok: false, failure, facts, completion }
    const taking = readInTurns(this.#asked.take(answer, facts), exchange.bounds.waiting)
    const taken = await unlessEnded(taking, facts)
    return 'ok' in taken ? taken : { ok: false, failure: taken.failure, facts, completion }
  }
}

/** The calls of a completion: those that are good are canonical now; the first bad one, if any. */
interface CheckedCalls {
  readonly repairs: readonly Repair[]
  readonly bad: BadCall | undefined
}

class ToolConversation {
  readonly #request: ApiRequest
  readonly #tools: Tools
  /** The answer whose calls are completed by what is asked for again. */
  #first: Answer<unknown> | undefined
  #bad: BadCall | undefined
  #repairs: readonly Repair[] = []
  #lastSignature: string | undefined
  #limits: Params = {}
  #body: Params

  constructor(request: ApiRequest, tools: Tools) {
    this.#request = request
    this.#tools = tools
    this.#body = request.params
  }

  /** Has an answer been asked for again? */
  get isAgain(): boolean {
    return this.#first !== undefined
  }

  /** The body of the attempt that is about to be made. */
  next(exchange: Exchange): Params {
    return this.#request.bodyFor(exchange, this.#body)
  }

  *check(completion: unknown): Resting<CheckedCalls> {
    const level = this.#request.options.repair
    const { finishReason } = firstChoice(completion)
    const repairs: Repair[] = []
    let bad: BadCall | undefined
    for (const [position, call] of callsOf(completion).entries()) {
      if (!isFunctionCall(call)) continue
      const checked = yield* checkCall(call, { tools: this.#tools, level, position, finishReason })
      if (checked.ok) {
        setArguments(call, checked.value)
        repairs.push(...checked.repairs)
      } else bad ??= checked.bad
    }
    return { repairs, bad }
  }

  /** Accepts an answer, or notes what has to be asked for again. */
  *take(answer: Answer<unknown>, facts: AnswerFacts): Resting<Sent<Answer<unknown>>> {
    const ending = unfinished(answer.data)
    if (ending !== undefined) return this.#unfinished(ending, answer.data, facts)
    const first = this.#first
    const bad = this.#bad
    if (first === undefined || bad === undefined) {
      const checked = yield* this.check(answer.data)
      this.#repairs = checked.repairs
      return this.#settled(answer, checked.bad, facts)
    }
    const again = yield* this.#callFrom(answer.data, bad)
    if (!again.ok) return this.#settled(first, again.bad, facts)
    this.#repairs = [...this.#repairs, ...again.repairs]
    place(first.data, bad.position, again.call)
    return this.#settled(first, (yield* this.check(first.data)).bad, facts)
  }

  #settled(
    answer: Answer<unknown>,
    bad: BadCall | undefined,
    facts: AnswerFacts,
  ): Sent<Answer<unknown>> {
    if (bad === undefined) {
      return { ok: true, value: answer, facts: { ...facts, repairs: this.#repairs } }
    }
    this.#first = answer
    this.#bad = bad
    const { params } = this.#request
    const { messages } = params
    this.#body = {
      ...params,
      ...this.#limits,
      messages: [...(Array.isArray(messages) ? messages : []), callAgain(bad)],
      tool_choice: bad.schema === undefined ? someTool(params) : toolNamed(bad.name),
    }
    const said = bad.missed === true ? 'nothing' : `${bad.name} ${bad.text}`
    const signature = answerSignature(`${bad.position} ${said}`)
    const reask = signature === this.#lastSignature ? 'repeated' : 'allowed'
    this.#lastSignature = signature
    return { ok: false, failure: failed(bad, facts), facts, completion: answer.data, reask }
  }

  /** The one call that was asked for again, at its old place. */
  *#callFrom(
    completion: unknown,
    before: BadCall,
  ): Resting<
    | { readonly ok: true; readonly call: unknown; readonly repairs: readonly Repair[] }
    | { readonly ok: false; readonly bad: BadCall }
  > {
    const { position, name, schema } = before
    const calls = callsOf(completion).filter(isFunctionCall)
    const nameOf = (one: unknown) => readProperty(readProperty(one, 'function'), 'name')
    const call = schema === undefined ? calls[0] : calls.find((one) => nameOf(one) === name)
    if (call === undefined) {
      return { ok: false, bad: { ...before, kind: 'malformed_output', missed: true } }
    }
    const level = this.#request.options.repair
    const { finishReason } = firstChoice(completion)
    const checked = yield* checkCall(call, { tools: this.#tools, level, position, finishReason })
    if (!checked.ok) return checked
    setArguments(call, checked.value)
    return { ok: true, call, repairs: checked.repairs }
  }

  /** Calls that did not come to their end: once again with twice the limit, or an error. */
  #unfinished(
    kind: 'truncated' | 'content_filter',
    completion: unknown,
    facts: AnswerFacts,
  ): Sent<Answer<unknown>> {
    const { options, params } = this.#request
    const limits = doubledLimits(params)
    const mayExtend =
      kind === 'truncated' &&
      options.onTruncated === 'extend' &&
      Object.keys(this.#limits).length === 0 &&
      Object.keys(limits).length > 0
    const advice = adviceOnCut(params, this.#limits, options.onTruncated)
    const failure = { ...failureOf(kind, facts), ...(kind === 'truncated' && { advice }) }
    if (!mayExtend) return { ok: false, failure, facts, completion }
    this.#limits = limits
    this.#body = { ...this.#body, ...limits }
    return { ok: false, failure, facts, completion, reask: 'allowed' }
  }
}

/** Why the calls in an answer may not be whole, also where they look so. */
function unfinished(completion: unknown): 'truncated' | 'content_filter' | undefined {
  if (callsOf(completion).length === 0) return undefined
  const { finishReason: reason } = firstChoice(completion)
  if (saysTruncated(reason)) return 'truncated'
  return reason === 'content_filter' ? reason : undefined
}

function toolNamed(name: string): object {
  return { type: 'function', function: { name } }
}

/** Any tool but none, of those that the caller leaves to choose from. */
function someTool({ tool_choice: given }: Params): unknown {
  return typeof given === 'object' && given !== null ? given : 'required'
}

function failed({ kind, issues, position, missed }: BadCall, facts: AnswerFacts): Failure {
  const missing = { path: `/tool_calls/${position}`, message: 'expected a call of the tool' }
  const all = missed === true ? [missing, ...toldOf(issues)] : toldOf(issues)
  return { ...failureOf(kind, facts), issues: all.slice(0, MAX_ISSUES) }
}

/** The failure of a call whose arguments no caller waits for any longer. */
async function unlessEnded<T>(
  reading: Promise<T>,
  facts: AnswerFacts,
): Promise<T | { readonly failure: Failure }> {
  try {
    return await reading
  } catch (error) {
    if (!(error instanceof ReadingEnded)) throw error
    const failure = failureOf(error.kind, facts)
    return { failure: { ...failure, executed: 'maybe', cause: error.cause } }
  }
}

function failureOf(kind: FailureKind, { status, requestId }: AnswerFacts): Failure {
  return {
    kind,
    retryable: false,
    executed: 'yes',
    message: kind,
    issues: [],
    cause: undefined,
    ...(status !== undefined && { status }),
    ...(requestId !== undefined && { requestId }),
  }
}

function callsOf(completion: unknown): readonly unknown[] {
  const calls = readProperty(firstChoice(completion).message, 'tool_calls')
  return Array.isArray(calls) ? calls : []
}

function setArguments(call: unknown, value: unknown): void {
  const called = Object(readProperty(call, 'function'))
  const isLong = String(readProperty(called, 'arguments')).length > MAX_SORTED_CHARS
  Reflect.set(called, 'arguments', isLong ? JSON.stringify(value) : jsonOf(value))
}

// To be sorted in some milliseconds.
const MAX_SORTED_CHARS = 128 * 1024

function jsonOf(value: unknown): string {
  try {
    return canonicalJson(value)
  } catch {
    // RFC 8785 knows no lone surrogates; JSON escapes them.
    return JSON.stringify(value)
  }
}

/** Puts a call where another was, under the id that had. */
function place(completion: unknown, position: number, call: unknown): void {
  const calls = callsOf(completion)
  const id = readProperty(calls[position], 'id')
  if (typeof id === 'string' && id !== '') Reflect.set(Object(call), 'id', id)
  Reflect.set(calls, position, call)
}
