import type { Context } from '@opentelemetry/api'
import type { AttemptReport, Wait } from '../errors/call-error.ts'
import type { Clock } from '../time.ts'
import type { ContentCapture } from './content.ts'

/**
 * All names that steadycall uses in traces and metrics.
 *
 * `gen_ai.*`, `openai.*`, `http.*`, `server.*` and `error.*` are OpenTelemetry semantic conventions, version
 * 1.41, the last one to define `gen_ai.*` together with the others. The conventions for generative AI have the
 * status Development in that version and may still be renamed. `steadycall.*` is our own. Durations are in
 * seconds, as the conventions require.
 */

/** The instrumentation scope of all spans and metrics. */
export const SCOPE_NAME = 'steadycall'
/** The version of this package. */
export const SCOPE_VERSION = '0.1.0'
/** https://opentelemetry.io/docs/specs/otel/schemas/ */
export const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.41.0'

/** First word of the name of a call's span, for a chat completion; followed by the model. */
export const SPAN_CHAT = 'chat'
/** First word of the name of a call's span, for `run`; followed by the name given to `run`. */
export const SPAN_RUN = 'run'
/** First word of the name of an attempt's span; followed by the model or the name given to `run`. */
export const SPAN_ATTEMPT = 'attempt'

/** Event on a call's span: the same request will be sent again after a wait. */
export const EVENT_RETRY_SCHEDULED = 'steadycall.retry.scheduled'
/** Event on a call's span: no further attempt will be made, with the reason. */
export const EVENT_RETRY_STOPPED = 'steadycall.retry.stopped'
/** Event on a call's span: the model is told what was wrong with its answer. */
export const EVENT_REASK_SENT = 'steadycall.reask.sent'
/** Event on a call's span: the next attempt goes to another target. */
export const EVENT_FALLBACK_SELECTED = 'steadycall.fallback.selected'
/** Event on a call's span: another layer, below or above steadycall, retries too. */
export const EVENT_RETRIES_MULTIPLIED = 'steadycall.retries.multiplied'
/** Event on a call's span: the call waits for another process that has the key. */
export const EVENT_CLAIM_AWAITED = 'steadycall.claim.awaited'
/** Event on a call's span: an answer was repaired locally, without another request. */
export const EVENT_OUTPUT_REPAIRED = 'steadycall.output.repaired'
/** Event on a call's span: the next attempt waits in the queue of its target. */
export const EVENT_WAIT = 'steadycall.wait'
/** Event on a call's span: a target has changed its state. */
export const EVENT_TARGET_CHANGED = 'steadycall.target.changed'
/** Event on an attempt's span: its stream broke after content had reached the caller. */
export const EVENT_STREAM_INTERRUPTED = 'steadycall.stream.interrupted'

/** string, on spans and metrics: the `FailureKind`. Absent on success and after an abort by the caller. */
export const ERROR_TYPE = 'error.type'
/** string: host of the target. */
export const SERVER_ADDRESS = 'server.address'
/** int: port of the target. */
export const SERVER_PORT = 'server.port'
/** int, on attempts: the status of the response. */
export const HTTP_RESPONSE_STATUS_CODE = 'http.response.status_code'
/** int, on attempts caused by a retry: 1 for the first resend of the same request. */
export const HTTP_REQUEST_RESEND_COUNT = 'http.request.resend_count'
/** string[], on attempts: the provider's request id, which its support team asks for. */
export const HTTP_RESPONSE_HEADER_X_REQUEST_ID = 'http.response.header.x-request-id'

/** string: always `chat`. */
export const GEN_AI_OPERATION_NAME = 'gen_ai.operation.name'
/** string: `openai` unless the target is known to be another provider. */
export const GEN_AI_PROVIDER_NAME = 'gen_ai.provider.name'
/** string: the requested model. */
export const GEN_AI_REQUEST_MODEL = 'gen_ai.request.model'
/** int: the limit on output tokens. */
export const GEN_AI_REQUEST_MAX_TOKENS = 'gen_ai.request.max_tokens'
/** double. */
export const GEN_AI_REQUEST_TEMPERATURE = 'gen_ai.request.temperature'
/** double. */
export const GEN_AI_REQUEST_TOP_P = 'gen_ai.request.top_p'
/** int. */
export const GEN_AI_REQUEST_SEED = 'gen_ai.request.seed'
/** string[]. */
export const GEN_AI_REQUEST_STOP_SEQUENCES = 'gen_ai.request.stop_sequences'
/** double. */
export const GEN_AI_REQUEST_FREQUENCY_PENALTY = 'gen_ai.request.frequency_penalty'
/** double. */
export const GEN_AI_REQUEST_PRESENCE_PENALTY = 'gen_ai.request.presence_penalty'
/** int: only when it is not 1. */
export const GEN_AI_REQUEST_CHOICE_COUNT = 'gen_ai.request.choice.count'
/** boolean: only when true. */
export const GEN_AI_REQUEST_STREAM = 'gen_ai.request.stream'
/** string: `json` or `text`, if a format was requested. */
export const GEN_AI_OUTPUT_TYPE = 'gen_ai.output.type'
/** string: the provider's id of the completion returned. */
export const GEN_AI_RESPONSE_ID = 'gen_ai.response.id'
/** string: the model that answered. */
export const GEN_AI_RESPONSE_MODEL = 'gen_ai.response.model'
/** string[]: one per choice; `_OTHER` for a reason OpenAI does not define. */
export const GEN_AI_RESPONSE_FINISH_REASONS = 'gen_ai.response.finish_reasons'
/** double, seconds: from the start of the call to the first chunk of its stream. */
export const GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK = 'gen_ai.response.time_to_first_chunk'
/** int: sum over all attempts that reported usage, because each of them is billed. */
export const GEN_AI_USAGE_INPUT_TOKENS = 'gen_ai.usage.input_tokens'
/** int: sum over all attempts that reported usage, because each of them is billed. */
export const GEN_AI_USAGE_OUTPUT_TOKENS = 'gen_ai.usage.output_tokens'
/** int: the part of the input tokens read from the provider's prompt cache, if reported. */
export const GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS = 'gen_ai.usage.cache_read.input_tokens'
/** int: the part of the output tokens spent on reasoning, if reported. */
export const GEN_AI_USAGE_REASONING_OUTPUT_TOKENS = 'gen_ai.usage.reasoning.output_tokens'
/** string, opt-in: a JSON array of the messages sent, in the conventions' format. */
export const GEN_AI_INPUT_MESSAGES = 'gen_ai.input.messages'
/** string, opt-in: a JSON array of the messages returned, in the conventions' format. */
export const GEN_AI_OUTPUT_MESSAGES = 'gen_ai.output.messages'
/** string, on a metric: `input` or `output`. */
export const GEN_AI_TOKEN_TYPE = 'gen_ai.token.type'
/** string: always `chat_completions`. */
export const OPENAI_API_TYPE = 'openai.api.type'
/** string: the requested tier, unless it is `auto`. */
export const OPENAI_REQUEST_SERVICE_TIER = 'openai.request.service_tier'
/** string: the tier that answered; `_OTHER` for one OpenAI does not define. */
export const OPENAI_RESPONSE_SERVICE_TIER = 'openai.response.service_tier'
/** string: the backend configuration that answered. */
export const OPENAI_RESPONSE_SYSTEM_FINGERPRINT = 'openai.response.system_fingerprint'

/** string: `success`, `recovered` (success after a failed attempt), `failed` or `aborted`. */
export const OUTCOME = 'steadycall.outcome'
/** string: `provider`, `store` (replayed) or `shared` (joined a call in flight). */
export const SOURCE = 'steadycall.source'
/** double, seconds: the deadline given to the call. */
export const DEADLINE = 'steadycall.deadline'
/** string: the `StopReason`. */
export const STOP_REASON = 'steadycall.stop_reason'
/** string, on all spans and events of a call with a key: the first 12 hex digits of the stored hash. */
export const KEY_HASH = 'steadycall.idempotency.key_hash'
/** boolean, on calls whose result should be stored: false if the store could not store it. */
export const PERSISTED = 'steadycall.idempotency.persisted'
/** boolean: false if an attempt may have been billed without reporting its usage. */
export const USAGE_COMPLETE = 'steadycall.usage.complete'
/** int, on replayed and joined calls: tokens used by the call that did the work. */
export const REPLAYED_INPUT_TOKENS = 'steadycall.replayed_usage.input_tokens'
/** int, on replayed and joined calls: tokens used by the call that did the work. */
export const REPLAYED_OUTPUT_TOKENS = 'steadycall.replayed_usage.output_tokens'
/** string, on links: `joined` (this call waited for the linked one) or `replayed` (the linked one did the work). */
export const LINK_KIND = 'steadycall.link.kind'
/** boolean: true if captured messages were shortened to fit. */
export const CONTENT_TRUNCATED = 'steadycall.content.truncated'
/** string: `below` (an SDK or fetch, observed on the wire) or `above` (a loop around the call). */
export const MULTIPLIED_BY = 'steadycall.multiplied_by'
/** int: number of local repairs of the answer. */
export const REPAIR_COUNT = 'steadycall.repair.count'
/** string[]: the rules that were applied. */
export const REPAIR_RULES = 'steadycall.repair.rules'
/** string[]: rule, JSON Pointer of the schema's names and offset in the answer of the first 32 repairs. */
export const REPAIR_PLACES = 'steadycall.repair.places'
/** int: number of problems listed in a re-ask. */
export const REASK_ISSUE_COUNT = 'steadycall.reask.issue_count'
/** string: the previous state of a target: `up`, `down` or `recovering`. */
export const TARGET_FROM = 'steadycall.target.from'
/** string: the new state of a target. */
export const TARGET_TO = 'steadycall.target.to'
/** string: why a call waits: `hint`, `limit`, `down`, `budget` or `backoff`. */
export const WAIT_FOR = 'steadycall.wait.for'
/** double, seconds: the expected wait; absent if it cannot be known. */
export const WAIT_EXPECTED = 'steadycall.wait.expected'
/** int: number of calls already waiting. */
export const WAIT_AHEAD = 'steadycall.wait.ahead'
/** double, seconds, on attempts, and on calls that gave up waiting: wait for a hint of the provider. */
export const WAIT_HINT = 'steadycall.wait.hint'
/** double, seconds, on attempts, and on calls that gave up waiting: wait for a place within a limit. */
export const WAIT_LIMIT = 'steadycall.wait.limit'
/** double, seconds, on attempts, and on calls that gave up waiting: wait for a target that was down. */
export const WAIT_DOWN = 'steadycall.wait.down'
/** double, seconds, on attempts, and on calls that gave up waiting: wait for the retry budget. */
export const WAIT_BUDGET = 'steadycall.wait.budget'
/** double, seconds, on attempts, and on calls that gave up waiting: the call's own backoff. */
export const WAIT_BACKOFF = 'steadycall.wait.backoff'
/** string, on events: host and model. */
export const TARGET = 'steadycall.target'
/** int: number of chunks received of a stream. */
export const STREAM_CHUNKS = 'steadycall.stream.chunks'
/** string: the target that failed, by its configured name. */
export const FALLBACK_FROM = 'steadycall.fallback.from'
/** string: the target that takes over, by its configured name. */
export const FALLBACK_TO = 'steadycall.fallback.to'
/** string, on metrics: the name given to `run`. */
export const RUN_NAME = 'steadycall.run.name'
/** double, seconds: the wait before an attempt. */
export const DELAY_DURATION = 'steadycall.delay.duration'
/** string: `backoff` or `hint`. */
export const DELAY_SOURCE = 'steadycall.delay.source'
/** int: number of attempts made. */
export const ATTEMPT_COUNT = 'steadycall.attempt.count'
/** int: 1 for the first. */
export const ATTEMPT_NUMBER = 'steadycall.attempt.number'
/** string: `initial`, `retry`, `reask`, `fallback` or `hedge`. */
export const ATTEMPT_CAUSE = 'steadycall.attempt.cause'
/** boolean, on failed attempts: whether the same request could have been sent again. */
export const ATTEMPT_RETRYABLE = 'steadycall.attempt.retryable'
/** string, on failed attempts: whether the provider did the work: `no`, `maybe` or `yes`. */
export const ATTEMPT_EXECUTED = 'steadycall.attempt.executed'
/** double, seconds: how long the provider asked to wait. */
export const ATTEMPT_RETRY_AFTER = 'steadycall.attempt.retry_after'
/** int: requests observed on the wire; more than one means that another layer retries. */
export const ATTEMPT_WIRE_REQUESTS = 'steadycall.attempt.wire_requests'
/** int: upstream requests that the gateway reports for this attempt. */
export const ATTEMPT_GATEWAY_ATTEMPTS = 'steadycall.attempt.gateway_attempts'
/** boolean, only when true: the attempt is a probe of a target that is down. */
export const ATTEMPT_PROBE = 'steadycall.attempt.probe'
/** int: input tokens billed for this attempt. */
export const ATTEMPT_INPUT_TOKENS = 'steadycall.attempt.usage.input_tokens'
/** int: output tokens billed for this attempt. */
export const ATTEMPT_OUTPUT_TOKENS = 'steadycall.attempt.usage.output_tokens'
/** int: the part of this attempt's input tokens read from the provider's prompt cache. */
export const ATTEMPT_CACHE_READ_INPUT_TOKENS = 'steadycall.attempt.usage.cache_read.input_tokens'
/** int: the part of this attempt's output tokens spent on reasoning. */
export const ATTEMPT_REASONING_OUTPUT_TOKENS = 'steadycall.attempt.usage.reasoning.output_tokens'
/** double, seconds: from sending to the first chunk of the stream. */
export const ATTEMPT_TIME_TO_FIRST_CHUNK = 'steadycall.attempt.time_to_first_chunk'

/** Histogram, s: one chat call, including retries and waits. */
export const METRIC_OPERATION_DURATION = 'gen_ai.client.operation.duration'
/** Histogram, s: from the start of a streamed call to its first content. */
export const METRIC_TIME_TO_FIRST_CHUNK = 'gen_ai.client.operation.time_to_first_chunk'
/** Histogram, {token}: tokens of one attempt, by `gen_ai.token.type`. */
export const METRIC_TOKEN_USAGE = 'gen_ai.client.token.usage'
/** Histogram, s: one attempt. */
export const METRIC_ATTEMPT_DURATION = 'steadycall.attempt.duration'
/** Histogram, {attempt}: attempts of one call; 0 for a replay. */
export const METRIC_CALL_ATTEMPTS = 'steadycall.call.attempts'
/** Counter, {retry}: retries scheduled. */
export const METRIC_RETRIES = 'steadycall.retries'
/** double, seconds: time until the lease on the key expires, unless renewed. */
export const LEASE_LEFT = 'steadycall.claim.lease_left'

/** Histogram, s: waits before retries, by their source. */
export const METRIC_RETRY_DELAY = 'steadycall.retry.delay'
/** Counter, {request}: requests added by the retries of another layer, by which layer. */
export const METRIC_MULTIPLIED_RETRIES = 'steadycall.multiplied_retries'
/** Counter, {repair}: local repairs of answers. */
export const METRIC_REPAIRS = 'steadycall.repairs'
/** Counter, {reask}: answers sent back to the model, by failure kind. */
export const METRIC_REASKS = 'steadycall.reasks'
/** Counter, {lookup}: calls with a stored key, by the source of their outcome. */
export const METRIC_KEY_LOOKUPS = 'steadycall.idempotency.lookups'
/** Counter, {token}: tokens saved by replayed and joined calls. */
export const METRIC_SAVED_TOKENS = 'steadycall.idempotency.saved_tokens'
/** Counter, {transition}: changes of a target's state. */
export const METRIC_TARGET_TRANSITIONS = 'steadycall.target.transitions'
/** Gauge: 0 up, 1 recovering, 2 down; as last observed by a call. */
export const METRIC_TARGET_STATE = 'steadycall.target.state'
/** Histogram, s: waits, with or without a following attempt, by reason. */
export const METRIC_WAIT_DURATION = 'steadycall.wait.duration'
/** Counter, {call}: calls that ended because they could not wait any longer, by reason of the wait. */
export const METRIC_WAITS_IN_VAIN = 'steadycall.wait.in_vain'
/** UpDownCounter, {call}: calls that have not ended. */
export const METRIC_ACTIVE_CALLS = 'steadycall.active_calls'

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

/** What a span shows of a request. */
export interface RequestTelemetry extends RequestInfo {
  readonly providerName?: string | undefined
  /** For a span that shows content. */
  readonly messages?: unknown
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

/** Stands for any further name, as in the semantic conventions. */
const OTHER = '_OTHER'

/**
 * The maximum number of models, hosts and `run` names in the metrics of a process. An SDK keeps a time series
 * in memory for each combination, for as long as the process lives.
 */
const MAX_VALUES = 100

/**
 * Limits the values of metric attributes. Models, hosts and `run` names come from the application, so there
 * should be few. If there are not (a model chosen by end users, an id in the name of a `run`), the first
 * hundred values of each attribute are kept, and the rest become `_OTHER`.
 */
export class ClosedSets {
  readonly #known = new Map<string, Set<string>>()

  /** The value, or `_OTHER` if there are too many. */
  admit(attribute: string, value: string): string {
    const known = this.#known.get(attribute) ?? new Set()
    if (known.has(value)) return value
    if (known.size >= MAX_VALUES) return OTHER
    this.#known.set(attribute, known.add(value))
    return value
  }

  /** Like `admit`, for names without spaces; anything that looks like free text becomes `_OTHER`. */
  admitName(attribute: string, value: string): string {
    return isName(value) ? this.admit(attribute, value) : OTHER
  }
}

/** Accepts an id, a model or a host, but not a sentence, which could come from a prompt. */
export function isName(value: string): boolean {
  return /^[!-~]{1,200}$/.test(value)
}

// Values of gen_ai.provider.name in the GenAI semantic conventions 1.41, by host.
const PROVIDERS: readonly (readonly [suffix: string, name: string])[] = [
  ['.openai.azure.com', 'azure.ai.openai'],
  ['.services.ai.azure.com', 'azure.ai.inference'],
  ['api.groq.com', 'groq'],
  ['api.deepseek.com', 'deepseek'],
  ['api.mistral.ai', 'mistral_ai'],
  ['api.x.ai', 'x_ai'],
  ['api.perplexity.ai', 'perplexity'],
  ['generativelanguage.googleapis.com', 'gcp.gemini'],
  ['api.anthropic.com', 'anthropic'],
]

/** The telemetry flavour of a host; `openai` for all that speak its protocol under other names. */
export function providerName(host: string): string {
  return PROVIDERS.find(([suffix]) => host.endsWith(suffix))?.[1] ?? 'openai'
}
