import type { AnswerFacts, Exchange, RequestTelemetry, TaskTokens } from '../../call/task.ts'
import type { Failure } from '../../errors/call-error.ts'
import { isObject } from '../../errors/hostile.ts'
import { providerName } from '../../telemetry/provider-name.ts'
import type { Answer } from '../api-promise.ts'
import { ApiTask } from '../api-task.ts'
import type { Params } from '../given-params.ts'
import type { ApiRequest } from '../request.ts'
import { answerIn, type Method, send } from '../send.ts'
import type { CallTarget } from '../targets.ts'
import { wireOf } from '../wire.ts'
import { failureInAnswer } from './answer.ts'
import { RequestTokens } from './request-tokens.ts'
import { factsOf } from './shape.ts'

/** What the tasks of chat completions have in common. */
export abstract class ChatTask<T> extends ApiTask<T> {
  readonly operation = 'chat'
  readonly telemetry: RequestTelemetry
  readonly tokens: TaskTokens

  constructor(face: 'create' | 'json', request: ApiRequest) {
    super(face, request)
    const telemetry = requestTelemetry(request.given.facts, request.targets)
    this.telemetry = face === 'json' ? { ...telemetry, outputType: 'json' } : telemetry
    this.tokens = new RequestTokens(request)
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
export const createCompletion: Method = (client, body, options) =>
  client.chat.completions.create(body as never, options as never)

/** How a completion is kept: as the JSON it came as. */
export function encodeCompletion(completion: unknown): string {
  return JSON.stringify(completion)
}

export function decodeCompletion(result: string): unknown {
  return JSON.parse(result)
}

function requestTelemetry(params: Params, targets: readonly CallTarget[]): RequestTelemetry {
  const host = targets[0]?.host
  const maxTokens = params['max_completion_tokens'] ?? params['max_tokens']
  const { temperature, top_p: topP, seed, n, stop, service_tier: serviceTier } = params
  const { frequency_penalty: frequencyPenalty, presence_penalty: presencePenalty } = params
  return {
    providerName: host === undefined ? undefined : providerName(host),
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
