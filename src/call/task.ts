import type { Failure, TokenCounts } from '../errors/call-error.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import type { Allowance } from '../errors/hints.ts'
import type { Keeping } from '../idempotency/kept-result.ts'
import type { Flight, OnceRequest, Sending, WorkOutcome } from '../idempotency/protocol.ts'
import type { ResolvedCall, SteadyOptions } from '../options/options.ts'
import type { CallReport } from '../report/call-report.ts'
import type { ReadingPace } from '../retry/health/places.ts'
import type { TargetState } from '../retry/health/target-state.ts'
import type { RequestTelemetry } from '../telemetry/attributes.ts'
import type { Bounds, Clock, Closing, Deadline, Waiting } from '../time.ts'
import type { Runtime } from './runtime.ts'

/**
 * What one face (`create`, `json`, `run`, `runIdempotent`, `retry`) wants done: where it may go, how to
 * send one attempt, and how its result is kept. The engine does the rest. Implemented by a class in the
 * room of each API, and by `FunctionTask`.
 */
export interface Task<T> {
  /** A user's own function is run, not a request of ours: it may do anything. */
  readonly isFunction: boolean
  /** Namespace of the idempotency key: `chat`, or the name given to `run`. */
  readonly operation: string
  /** In span names: the model, or the name given to `run`. */
  readonly name: string
  readonly options: ResolvedCall
  /** The first, then the fallbacks in order. */
  readonly targets: readonly [TaskTarget, ...TaskTarget[]]
  /** Request attributes for the span. */
  describe?(): RequestTelemetry
  /** Of one attempt, in milliseconds: streams wait for their first content, all else for the whole answer. */
  readonly timeoutMs: number
  /** What the key stands for where the caller gave no `payload`: the request before any adaptation. */
  payload(): unknown
  /**
   * The request as it is sent, less what tells one sending from another, and each target, with all
   * that decides where it goes. To be hashed only: there are secrets in it. Absent for a function,
   * whose requests are unknown.
   */
  identify?(): { readonly request: unknown; readonly targets: readonly unknown[] }
  /** What is seen on the wire in one attempt; absent for a function, whose requests are its own. */
  watch?(attempt: number): Wire
  /** Sends one attempt. Throws what the client throws; answers that are no good are returned. */
  send(exchange: Exchange): Promise<Sent<T>>
  /**
   * What an attempt was waiting for when a limit cut it off, and has now come: the result it is, if
   * it is good as it stands. Absent where such a result is not kept.
   */
  late?(came: unknown, exchange: Exchange): Promise<{ readonly late: T } | undefined>
  /** The task's own opinion of what `send` threw, after it was classified. Must not throw. */
  judge?(failure: Failure, exchange: Exchange): Failure
  /** The same of any failure of an attempt, thrown or returned. Must not throw. */
  judgeAny?(failure: Failure, exchange: Exchange): Failure
  /** The facts of an answer that was thrown. */
  thrownFacts?(exchange: Exchange): AnswerFacts
  /** An attempt has ended: what its answer shows of what lies between us and the provider. */
  lookAround?(isGood: boolean, exchange: Exchange): void
  /** The limits that the answer reports. */
  allowances?(exchange: Exchange): readonly Allowance[] | undefined
  /** The tokens of its requests; absent where they cannot be known. */
  readonly tokens?: TaskTokens
  /** How a result is kept; absent where it cannot be (a raw response), or is a stream. */
  readonly codec?: Codec<T>
  /**
   * Runs the protocol of a key itself: absent but for a stream, whose caller has it before the work is
   * over. `open` is the work up to there.
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
  /** The completion in a result, for spans that show content. */
  completionOf?(value: T): unknown
  /** What a replayed or shared result says about itself. */
  replayedFacts?(value: T): AnswerFacts
}

/** What was seen on the wire in one attempt. */
export interface Wire {
  readonly status: number | undefined
  readonly headers: Headers | undefined
  /** The body of an error, as it came, cut at some length. */
  readonly errorBody: string | undefined
  /** The code of the runtime's own limit that ended it. */
  readonly limitCode?: string | undefined
  /** HTTP requests really sent, or undefined where nothing could be observed. */
  readonly requests: number | undefined
  /** A layer below us sent more than the one request that was asked for. */
  readonly isMultiplied: boolean
}

/** Estimates the tokens of requests, and learns from the usage that answers report. */
export interface TaskTokens {
  /** Of prompt and answer, as the target at this index counts them. */
  estimate(target: number): number
  /** Learns from what an answer used; returns the sum. */
  used(target: number, usage: TokenCounts): number
}

/** What one wrapped client gives to each of its calls. */
export interface CallContext {
  readonly runtime: Runtime
  readonly settings: SteadyOptions
  /** Requests were multiplied under `'throw'`: the next send fails instead. */
  multiplied: boolean
  /** Absent where there is no client to be closed. */
  readonly closing?: Closing
}

/** Whose signal and deadline bind the work of a call: the caller's, or those of all that joined. */
export interface WorkBinding {
  readonly signal: AbortSignal | undefined
  readonly deadline: Deadline
  readonly onUncertain: 'rerun' | 'fail'
  /** Awaited before each send; rejects when the claim is lost. */
  dispatch?(sending: Sending): Promise<void>
}

/** Where an attempt may go: host, model and credential, with what is known of their health. */
export interface TaskTarget {
  /** `host model`, for reports and events. */
  readonly name: string
  readonly host?: string
  readonly port?: number | undefined
  readonly model?: string
  /** `gen_ai.provider.name`, of a host that is known. */
  readonly providerName?: string
  readonly state: TargetState
  readonly on: ReadonlySet<FailureKind>
}

export interface Codec<T> {
  encode(value: T): string
  decode(result: string, source: 'store' | 'shared'): T
}

/** What a kept text says of the call that made it, beside the result. */
interface Label {
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
interface StreamOver {
  /** Undefined: the stream was whole, or its reader left. */
  readonly failure: Failure | undefined
  /** False also for a reader that left before the end. */
  readonly persisted: boolean
}

/** One attempt, as its sender sees it. */
export interface Exchange {
  readonly number: number
  readonly cause: 'initial' | 'retry' | 'reask' | 'fallback' | 'hedge'
  /** Index into the task's targets. */
  readonly target: number
  readonly bounds: Bounds
  /** As `Task.watch` made it. */
  readonly wire: Wire | undefined
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
      readonly onTail?: (listener: (tail: StreamTail) => void) => void
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
  readonly repairs?: CallReport['repairs'] | undefined
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
interface StreamTail {
  readonly failure?: Failure
  readonly facts: AnswerFacts
}
