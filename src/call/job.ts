import type { Failure } from '../errors/call-error.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import type { TokenCounts } from '../errors/token-counts.ts'
import type { Keeping } from '../idempotency/kept-result.ts'
import type { Flight, OnceRequest, WorkOutcome } from '../idempotency/once.ts'
import type { RequestTokens } from '../openai/chat/request-tokens.ts'
import type { Gateway } from '../openai/gateways.ts'
import type { WireRecord } from '../openai/wire.ts'
import type { ResolvedCall } from '../options/options.ts'
import type { Repair } from '../output/repair-rules.ts'
import type { ReadingPace } from '../retry/health/stream-places.ts'
import type { TargetState } from '../retry/health/target-state.ts'
import type { Clock } from '../time.ts'
import type { Bounds } from './bounds.ts'
import type { CallIdentity } from './fingerprints.ts'
import type { Waiting } from './reading.ts'

/**
 * What a face (`create`, `json`, `run`, `runIdempotent`) gives to the main path: where it may go,
 * how to send one attempt, and how to keep its result. The main path does the rest.
 */
export interface Job<T> {
  readonly face: 'create' | 'json' | 'run' | 'guard'
  /** Namespace of the idempotency key: `chat`, or the name given to `run`. */
  readonly operation: string
  /** In span names: the model, or the name given to `run`. */
  readonly name: string
  readonly options: ResolvedCall
  /** The first, then the fallbacks in order. */
  readonly targets: readonly [JobTarget, ...JobTarget[]]
  /** Request attributes for the span. */
  readonly telemetry?: RequestTelemetry
  /** What the key stands for where the caller gave no `payload`: the request before any adaptation. */
  payload(): unknown
  /**
   * The request as it is sent, less what tells one sending from another, and each target, with all
   * that decides where it goes. To be hashed only: there are secrets in it. Absent for a function,
   * whose requests nobody knows.
   */
  identify?(): CallIdentity
  /** Sends one attempt. Throws what the client throws; answers that are no good are returned. */
  send(exchange: Exchange): Promise<Sent<T>>
  /**
   * What an attempt was waiting for when a limit cut it off, and has now come: the result it is, if
   * it is good as it stands. Absent where such a result is not kept.
   */
  late?(came: unknown, exchange: Exchange): Promise<{ readonly late: T } | undefined>
  /** The face's own opinion of what its sender threw, after it was classified. Must not throw. */
  judge?(failure: Failure, exchange: Exchange): Failure
  /** The tokens of its requests; absent where they cannot be known. */
  readonly tokens?: RequestTokens
  /** How a result is kept; absent where it cannot be (a raw response), or is a stream. */
  readonly codec?: Codec<T>
  /**
   * Runs the protocol itself: absent but for a stream, whose caller has it before the work is over.
   * `open` is the work up to there.
   */
  once?(
    protocol: OnceProtocol,
    open: (flight: Flight) => Promise<WorkOutcome<T>>,
  ): Promise<Begun<T>>
  /** Checks a replayed or shared result as if it were this caller's own answer. */
  recheck?(
    value: T,
    waiting: Waiting,
  ): Promise<{ ok: true; value: T } | { ok: false; failure: Failure }>
  /** The completion in a result, for spans of those who opted in to content. */
  completionOf?(value: T): unknown
  /** What a replayed or shared result says about itself. */
  replayedFacts?(value: T): AnswerFacts
}

/** Is it a user's own function that is run, not a request of ours? */
export function isFunction(face: Job<unknown>['face']): boolean {
  return face === 'run' || face === 'guard'
}

export interface JobTarget {
  readonly name: string
  readonly host?: string
  readonly port?: number | undefined
  readonly model?: string
  readonly gateway?: Gateway
  readonly state: TargetState
  readonly on: ReadonlySet<FailureKind>
}

export interface Codec<T> {
  encode(value: T): string
  decode(result: string, source: 'store' | 'shared'): T
}

/** What a kept text says of the call that made it, beside the result. */
export interface Label {
  write(text: string): string
  read(kept: string, source: 'store' | 'shared'): string
}

/** The idempotency protocol's view of a call, but for its work and how its result is kept. */
export interface OnceProtocol extends Omit<OnceRequest<never>, 'work' | 'encode' | 'decode'> {
  readonly keeping: Keeping
  readonly label: Label
  /** The answer of a kept stream is to be put together, for a span that shows it. */
  readonly showsContent: boolean
}

/** How a streamed call under a key began. */
export type Begun<T> =
  /** With a stream of its own, which goes on. */
  | { readonly type: 'live'; readonly value: T; readonly over: Promise<StreamOver> }
  /** With a whole stream, from elsewhere. */
  | {
      readonly type: 'kept'
      readonly value: T
      readonly facts: AnswerFacts
      readonly source: 'store' | 'shared'
      readonly persisted: boolean
    }

/** How the call behind a live stream ended. */
export interface StreamOver {
  /** Undefined: the stream was whole, or its reader left. */
  readonly failure: Failure | undefined
  /** False also for a reader that left before the end. */
  readonly persisted: boolean
}

/** One attempt, as its sender sees it. */
export interface Exchange {
  readonly number: number
  readonly cause: 'initial' | 'retry' | 'reask' | 'fallback' | 'hedge'
  /** Index into the job's targets. */
  readonly target: number
  readonly bounds: Bounds
  readonly wire: WireRecord
  readonly clock: Clock
  /** As the caller gave it, or derived or generated. */
  readonly key: string
  /** W3C `traceparent` of the attempt, where it is to be sent. */
  readonly traceparent: string | undefined
  /** The answer of a stream is to be put together, for a span that shows it. */
  readonly showsContent: boolean
  /** The `Idempotency-Key` header for this body. */
  idempotencyHeader(body: unknown): string
}

export type Sent<T> =
  | {
      readonly ok: true
      readonly value: T
      readonly facts: AnswerFacts
      /** Tells of a stream's end, later; the attempt stays open until then. */
      readonly onTail?: (listener: (tail: Tail) => void) => void
      /** How a stream is being read. */
      readonly pace?: ReadingPace
    }
  | {
      readonly ok: false
      readonly failure: Failure
      readonly facts: AnswerFacts
      readonly reask?: 'allowed' | 'repeated'
      /** The answer that was no good, for the error. */
      readonly completion?: unknown
    }

/** What an answer says about itself. */
export interface AnswerFacts {
  readonly status?: number | undefined
  readonly requestId?: string | undefined
  readonly usage?: TokenCounts | undefined
  readonly id?: string | undefined
  readonly model?: string | undefined
  readonly systemFingerprint?: string | undefined
  readonly serviceTier?: string | undefined
  readonly finishReasons?: readonly string[] | undefined
  /** Streams: the answer, put together, where content is captured. */
  readonly answer?: unknown
  /** The local repairs of the accepted answer. */
  readonly repairs?: readonly Repair[] | undefined
  /** Streams: from sending the request to its first content. */
  readonly firstChunkMs?: number | undefined
  /** Streams: chunks that came; only where content has reached the caller. */
  readonly chunks?: number | undefined
  /** Requests the gateway made upstream for this one. */
  readonly gatewayAttempts?: number | undefined
  /** Some of them were not wanted. */
  readonly gatewayMultiplied?: boolean | undefined
}

/** How a stream ended after its first content. */
export interface Tail {
  readonly failure?: Failure
  readonly facts: AnswerFacts
}

export interface RequestTelemetry {
  readonly providerName?: string | undefined
  readonly maxTokens?: number | undefined
  readonly temperature?: number | undefined
  readonly topP?: number | undefined
  readonly seed?: number | undefined
  readonly frequencyPenalty?: number | undefined
  readonly presencePenalty?: number | undefined
  readonly serviceTier?: string | undefined
  readonly stop?: string | readonly string[] | undefined
  readonly choiceCount?: number | undefined
  readonly stream?: boolean | undefined
  readonly outputType?: 'json' | 'text' | undefined
  readonly messages?: unknown
}
