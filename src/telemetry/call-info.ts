import type { Context } from '@opentelemetry/api'
import type { AttemptReport, Wait } from '../errors/call-error.ts'
import type { Clock } from '../time.ts'
import type { ContentCapture } from './content.ts'

/** What is known about a call before it starts. */
export interface CallInfo {
  /** `chat`: a chat completion, with a CLIENT span and `gen_ai.*`. `run`: any other work, with an INTERNAL span. */
  readonly operation: 'chat' | 'run'
  /** The model, or the name given to `run`. Used in span names and metrics, so it should have few values. */
  readonly name: string
  /** As spelled by the semantic conventions. @default 'openai' */
  readonly providerName?: string | undefined
  readonly host?: string | undefined
  readonly port?: number | undefined
  /** The stored hash of the idempotency key (64 hex digits; anything else is not shown). Read only when shown. */
  readonly key?: { readonly hash: string | undefined } | undefined
  /** Whether the result is stored under the key, and may come from another call. @default false */
  readonly isStored?: boolean | undefined
  /** The context of the attempt around this call: its parent if the application has no context manager. */
  readonly around?: Context | undefined
  readonly deadlineMs: number
  readonly request?: RequestInfo | undefined
  /** Used only for `chat`. */
  readonly content?: ContentCapture | undefined
  readonly clock: Pick<Clock, 'monotonicMs'>
}

/** The parameters of a chat request that are shown on its span. */
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

/** The target of an attempt: a fallback has another model and possibly another host. */
export interface TargetInfo {
  /** @default the call's model */
  readonly model?: string | undefined
  /** @default the call's provider */
  readonly providerName?: string | undefined
  /** @default the call's host and port */
  readonly host?: string | undefined
  readonly port?: number | undefined
}

/** The state of a target. */
export type TargetHealth = 'up' | 'down' | 'recovering'

/** What a call waits for in the queue of its target. */
export type WaitFor = Wait['for']

/** What is known about an attempt before it starts. */
export interface AttemptInfo extends TargetInfo {
  readonly number: number
  readonly cause: AttemptReport['cause']
  /** Whether this attempt tests if a target that was down still is. @default false */
  readonly isProbe?: boolean | undefined
  /** The wait before this attempt. */
  readonly delayMs: number
  readonly delaySource?: 'backoff' | 'hint' | undefined
  readonly waits?: readonly Wait[] | undefined
}

/** What the provider's answer says about itself. */
export interface ResponseInfo {
  readonly id?: string | undefined
  readonly model?: string | undefined
  readonly finishReasons?: readonly string[] | undefined
  readonly systemFingerprint?: string | undefined
  readonly serviceTier?: string | undefined
}
