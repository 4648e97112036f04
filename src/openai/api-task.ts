import { classifyThrown } from '../call/attempt.ts'
import type {
  AnswerFacts,
  CallIdentity,
  Exchange,
  RequestTelemetry,
  Sent,
  Task,
  TaskTokens,
} from '../call/task.ts'
import type { Failure } from '../errors/call-error.ts'
import { parseObject } from '../errors/embedded-json.ts'
import type { Allowance } from '../errors/rate-limit-headers.ts'
import type { ResolvedCall } from '../options/options.ts'
import type { TargetState } from '../retry/health/target-state.ts'
import { withoutUndefined } from '../without-undefined.ts'
import { allowancesIn } from './allowances.ts'
import type { Answer } from './api-promise.ts'
import { clientIdentity, described } from './client-identity.ts'
import { noticeGateway } from './gateway-notice.ts'
import { gatewayFacts } from './gateways.ts'
import type { Params } from './given-params.ts'
import { lastingHeaders } from './headers.ts'
import type { ApiRequest } from './request.ts'
import type { CallTarget } from './targets.ts'
import { judgeUnsendable } from './unsendable.ts'
import { judgeUnsent } from './unsent.ts'
import { WireRecord, wireOf } from './wire.ts'

// Targets of which a good answer has been looked at: what is in front of them does not change.
const lookedAt = new WeakSet<TargetState>()

/** What the tasks of every API of an openai client have in common. */
export abstract class ApiTask<T> implements Task<T> {
  readonly face: 'create' | 'json'
  abstract readonly operation: string
  abstract readonly telemetry: RequestTelemetry
  abstract readonly tokens: TaskTokens
  readonly name: string
  readonly options: ResolvedCall
  readonly targets: readonly [CallTarget, ...CallTarget[]]
  protected readonly request: ApiRequest

  constructor(face: 'create' | 'json', request: ApiRequest) {
    this.face = face
    this.request = request
    this.options = request.options
    this.targets = request.targets
    this.name = request.targets[0].model
  }

  abstract send(exchange: Exchange): Promise<Sent<T>>

  payload(): unknown {
    return this.request.params
  }

  identify(): CallIdentity {
    return this.identityOf(this.request.params)
  }

  watch(attempt: number): WireRecord {
    return new WireRecord(attempt)
  }

  judge(failure: Failure, exchange: Exchange): Failure {
    return judgeUnsent(this.request, failure, exchange)
  }

  judgeAny(failure: Failure, exchange: Exchange): Failure {
    return judgeUnsendable(failure, wireOf(exchange), exchange.bounds)
  }

  thrownFacts(exchange: Exchange): AnswerFacts {
    const { status, headers, sent, errorBody = '' } = wireOf(exchange)
    const gateway = this.targets[exchange.target]?.gateway
    if (gateway === undefined) return withoutUndefined({ status })
    const said = gatewayFacts(gateway, { headers, sent, body: parseObject(errorBody) })
    return withoutUndefined({ status, ...said })
  }

  /** A failure may be that of something in front of the gateway, and is looked at each time. */
  lookAround(isGood: boolean, exchange: Exchange): void {
    const { headers, sent } = wireOf(exchange)
    const state = this.targets[exchange.target]?.state
    if (!this.request.looksForGateway || headers === undefined) return
    if (state === undefined || lookedAt.has(state)) return
    if (isGood) lookedAt.add(state)
    noticeGateway(this.request.runtime, headers, sent)
  }

  allowances(exchange: Exchange): readonly Allowance[] | undefined {
    const state = this.targets[exchange.target]?.state
    return state && allowancesIn(state, wireOf(exchange), exchange.clock)
  }

  /** The same request, and the same target: what `asked` says of the one, its client of the other. */
  protected identityOf({ model: _, ...asked }: Params): CallIdentity {
    // openai passes its own key option on, and the headers are compared without those of one sending.
    const { headers, idempotencyKey: _key, ...options } = this.request.requestOptions
    return {
      request: [asked, described(options), lastingHeaders(headers)],
      targets: this.targets.map(({ client, model }) => [model, clientIdentity(client)]),
    }
  }

  /** What the gateway in between says of this answer. */
  protected saidByGateway(
    exchange: Exchange,
    { data, response }: Answer<unknown>,
  ): Pick<AnswerFacts, 'gatewayAttempts' | 'gatewayMultiplied'> {
    const gateway = this.targets[exchange.target]?.gateway
    if (gateway === undefined) return {}
    const { headers } = response
    return gatewayFacts(gateway, { headers, sent: wireOf(exchange).sent, body: data })
  }

  /** What `send` threw, as the failure that the engine makes of it. */
  protected thrown(error: unknown, exchange: Exchange): Failure {
    return classifyThrown(error, exchange, this.face)
  }
}
