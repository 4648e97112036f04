import type { AnswerFacts, Codec, Exchange, Sent, TaskTokens } from '../../call/task.ts'
import type { Failure } from '../../errors/call-error.ts'
import { isObject } from '../../errors/hostile.ts'
import type { RequestTelemetry } from '../../telemetry/attributes.ts'
import type { Answer } from '../api-promise.ts'
import type { ApiRequest, Params } from '../request.ts'
import { ApiTask, answerIn, answerOf, type Method, send, sendForHead } from '../send.ts'
import type { CallTarget } from '../targets.ts'
import { wireOf } from '../wire.ts'
import { factsOf, failureInAnswer, RequestTokens, requestIdOf } from './shape.ts'

/** What the tasks of chat completions have in common. */
export abstract class ChatTask<T> extends ApiTask<T> {
  readonly operation = 'chat'
  readonly tokens: TaskTokens

  constructor(request: ApiRequest) {
    super(request)
    this.tokens = new RequestTokens(request)
  }

  describe(): RequestTelemetry {
    return requestTelemetry(this.request.given.facts, this.targets)
  }

  /** One completion, read whole (or its stream opened). */
  protected complete<Data = unknown>(exchange: Exchange, body: Params): Promise<Answer<Data>> {
    return send<Data>(createCompletion, this.request, exchange, body)
  }

  /** What an answer says of itself, and what is wrong with it if it is an error in disguise. */
  protected readAnswer(
    answer: Answer<unknown>,
    exchange: Exchange,
  ): { readonly facts: AnswerFacts; readonly failure: Failure | undefined } {
    const { data, response } = answer
    return {
      facts: { ...factsOf(data, response), ...this.saidByGateway(exchange, answer) },
      failure: failureInAnswer(data, response, exchange.clock),
    }
  }

  /** An answer that came after its attempt had ended, unless it is an error in disguise. */
  protected lateAnswer(came: unknown, exchange: Exchange): Answer<unknown> | undefined {
    const answer = answerIn<unknown>(came, wireOf(exchange))
    const failure = failureInAnswer(answer.data, answer.response, exchange.clock)
    return failure === undefined ? answer : undefined
  }
}

// The casts cross into openai's types: `prepareClient` has proved that the method is there.
const createCompletion: Method = (client, body, options) =>
  client.chat.completions.create(body as never, options as never)

/** How a completion is kept: as the JSON it came as. */
export function encodeCompletion(completion: unknown): string {
  return JSON.stringify(completion)
}

export function decodeCompletion(result: string): unknown {
  return JSON.parse(result)
}

function requestTelemetry(params: Params, targets: readonly CallTarget[]): RequestTelemetry {
  const maxTokens = params['max_completion_tokens'] ?? params['max_tokens']
  const { temperature, top_p: topP, seed, n, stop, service_tier: serviceTier } = params
  const { frequency_penalty: frequencyPenalty, presence_penalty: presencePenalty } = params
  return {
    providerName: targets[0]?.providerName,
    maxTokens: numberIn(maxTokens),
    temperature: numberIn(temperature),
    topP: numberIn(topP),
    seed: numberIn(seed),
    frequencyPenalty: numberIn(frequencyPenalty),
    presencePenalty: numberIn(presencePenalty),
    serviceTier: typeof serviceTier === 'string' ? serviceTier : undefined,
    outputType: outputTypeOf(params['response_format']),
    stop: isStop(stop) ? stop : undefined,
    choiceCount: n === 1 ? undefined : numberIn(n),
    stream: params['stream'] === true ? true : undefined,
    messages: params['messages'],
  }
}

function numberIn(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}

/** In the conventions' words; only where a format was asked for. */
function outputTypeOf(format: unknown): 'json' | 'text' | undefined {
  const type = isObject(format) ? Reflect.get(format, 'type') : undefined
  if (type === 'json_object' || type === 'json_schema') return 'json'
  return type === 'text' ? 'text' : undefined
}

function isStop(stop: unknown): stop is string | readonly string[] {
  return typeof stop === 'string' || Array.isArray(stop)
}

/** The drop-in call, not streamed: what openai answers is what the caller gets. */
export class CompletionTask extends ChatTask<Answer<unknown>> {
  readonly codec: Codec<Answer<unknown>> = completionCodec

  async send(exchange: Exchange): Promise<Sent<Answer<unknown>>> {
    const answer = await this.complete(exchange, this.request.ownBodyFor(exchange))
    const { facts, failure } = this.readAnswer(answer, exchange)
    return failure === undefined
      ? { ok: true, value: answer, facts }
      : { ok: false, failure, facts, completion: answer.data }
  }

  async late(
    came: unknown,
    exchange: Exchange,
  ): Promise<{ readonly late: Answer<unknown> } | undefined> {
    const answer = this.lateAnswer(came, exchange)
    return answer && { late: answer }
  }

  completionOf({ data }: Answer<unknown>): unknown {
    return data
  }

  replayedFacts({ data, response }: Answer<unknown>): AnswerFacts {
    return factsOf(data, response)
  }
}

/** `create(…).asResponse()`: guarded until the head has arrived; the body is the caller's. */
export class ResponseHeadTask extends ChatTask<Answer<undefined>> {
  async send(exchange: Exchange): Promise<Sent<Answer<undefined>>> {
    const body = this.request.ownBodyFor(exchange)
    const value = await sendForHead(createCompletion, this.request, exchange, body)
    const { response } = value
    const said = this.saidByGateway(exchange, value)
    const facts = { status: response.status, ...requestIdOf(response), ...said }
    return { ok: true, value, facts }
  }
}

/** On replay it gets a response of its own. */
const completionCodec: Codec<Answer<unknown>> = {
  encode: ({ data }) => encodeCompletion(data),
  decode: (result, source) => answerOf(decodeCompletion(result), replayedResponse(result, source)),
}

function replayedResponse(result: string, source: 'store' | 'shared'): Response {
  return new Response(result, {
    status: 200,
    headers: { 'content-type': 'application/json', 'x-steadycall-source': source },
  })
}
