import type { Context } from '@opentelemetry/api'
import type { AttemptReport, StopReason, Usage, Wait } from '../errors/call-error.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import type { Clock } from '../time.ts'
import type { ContentCapture } from './content.ts'

/** What is known of a logical call before it starts. */
export interface CallInfo {
  /** `chat`: a chat completion, a CLIENT span with `gen_ai.*`. `run`: anything else, INTERNAL. */
  readonly operation: 'chat' | 'run'
  /** The model, or the name given to `run`. Part of span names and metrics: few values, please. */
  readonly name: string
  /** In the semantic conventions' spelling. @default 'openai' */
  readonly providerName?: string | undefined
  readonly host?: string | undefined
  readonly port?: number | undefined
  /** The stored hash of the idempotency key, 64 hex digits; read only where it is shown. Anything else is left out. */
  readonly key?: { readonly hash: string | undefined } | undefined
  /** The result is to be kept under the key, and may be another call's. @default false */
  readonly isStored?: boolean | undefined
  /** Of the attempt around this call: its parent where the application has no context manager. */
  readonly around?: Context | undefined
  readonly deadlineMs: number
  readonly request?: RequestInfo | undefined
  /** Only looked at for `chat`. */
  readonly content?: ContentCapture | undefined
  readonly clock: Pick<Clock, 'monotonicMs'>
}

/** The parameters of a chat request that go onto its span. */
export interface RequestInfo {
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
}

/** Where an attempt goes: a fallback has another model, and maybe another host. */
export interface TargetInfo {
  /** @default the call's */
  readonly model?: string | undefined
  /** @default the call's */
  readonly providerName?: string | undefined
  /** @default the call's, with its port */
  readonly host?: string | undefined
  readonly port?: number | undefined
}

/** A target's state. */
export type TargetHealth = 'up' | 'down' | 'recovering'

/** What a call waits for in the line of its target. */
export type WaitFor = Wait['for']

/** What is known of an attempt before it starts. */
export interface AttemptInfo extends TargetInfo {
  readonly number: number
  readonly cause: AttemptReport['cause']
  /** The target is down, and this attempt shows whether it still is. @default false */
  readonly isProbe?: boolean | undefined
  /** Waited before this attempt. */
  readonly delayMs: number
  readonly delaySource?: 'backoff' | 'hint' | undefined
  readonly waits?: readonly Wait[] | undefined
}

/** How a logical call ended. */
export type CallOutcome = SucceededCall | FailedCall

export interface SucceededCall {
  readonly ok: true
  readonly source: 'provider' | 'store' | 'shared'
  readonly response?: ResponseInfo | undefined
  /** Local repairs. @default the sum of the `output-repaired` events */
  readonly repairs?: number | undefined
  /** False when the store could not keep the result. */
  readonly persisted?: boolean | undefined
  /** The ChatCompletion, a streamed one, or an array of messages. Looked at only where content is captured. */
  readonly answer?: unknown
  /** From the start of the call to the first chunk of its stream. */
  readonly firstChunkMs?: number | undefined
  /** Only `complete` is read; the sums are taken from the attempts. */
  readonly usage?: Usage | undefined
  /** Of a replayed or joined call: what the work took when it was done. */
  readonly replayedUsage?: Usage | undefined
  readonly attempts: readonly AttemptReport[]
}

export interface FailedCall {
  readonly ok: false
  readonly kind: FailureKind
  /** Where the failure came from. @default 'provider' */
  readonly source?: 'provider' | 'store' | 'shared' | undefined
  readonly reason?: StopReason | undefined
  /** Of a stream that broke: from the start of the call to its first chunk. */
  readonly firstChunkMs?: number | undefined
  readonly usage?: Usage | undefined
  readonly attempts: readonly AttemptReport[]
  /** The waits after the last attempt, in vain. */
  readonly waits?: readonly Wait[] | undefined
}

/** What the provider's answer said about itself. */
export interface ResponseInfo {
  readonly id?: string | undefined
  readonly model?: string | undefined
  readonly finishReasons?: readonly string[] | undefined
  readonly systemFingerprint?: string | undefined
  readonly serviceTier?: string | undefined
}
