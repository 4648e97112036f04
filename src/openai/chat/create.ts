import type { AnswerFacts, Codec, Exchange, Sent } from '../../call/task.ts'
import type { Answer } from '../api-promise.ts'
import type { ApiRequest } from '../request.ts'
import { answerOf, sendForHead } from '../send.ts'
import { requestIdOf } from './answer.ts'
import { factsOf } from './shape.ts'
import { ChatTask, createCompletion, decodeCompletion, encodeCompletion } from './task.ts'

/** The drop-in call, not streamed: what openai answers is what the caller gets. */
export class CompletionTask extends ChatTask<Answer<unknown>> {
  readonly codec: Codec<Answer<unknown>> = completionCodec

  constructor(request: ApiRequest) {
    super('create', request)
  }

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
  constructor(request: ApiRequest) {
    super('create', request)
  }

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
