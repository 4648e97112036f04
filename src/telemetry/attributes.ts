/**
 * Every name steadycall puts into a trace or a metric, and nothing else.
 *
 * `gen_ai.*`, `openai.*`, `http.*`, `server.*` and `error.*` are OpenTelemetry semantic conventions
 * in version 1.41, the last one to define `gen_ai.*` beside the rest; those for generative AI have
 * the status Development there and may be renamed. `steadycall.*` is our own. Durations are
 * seconds, as the conventions ask.
 */

/** The instrumentation scope of all spans and metrics. */
export const SCOPE_NAME = 'steadycall'
/** The version of this package. */
export const SCOPE_VERSION = '0.1.0'
/** https://opentelemetry.io/docs/specs/otel/schemas/ */
export const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.41.0'

/** First word of a logical span's name: a chat completion; the model follows. */
export const SPAN_CHAT = 'chat'
/** First word of a logical span's name: a guarded call of the user's own; its name follows. */
export const SPAN_RUN = 'run'
/** First word of a child span's name: one attempt; the model or the run's name follows. */
export const SPAN_ATTEMPT = 'attempt'

/** Event on a logical span: another attempt of the same request will follow after a wait. */
export const EVENT_RETRY_SCHEDULED = 'steadycall.retry.scheduled'
/** Event on a logical span: no further attempt follows, and why. */
export const EVENT_RETRY_STOPPED = 'steadycall.retry.stopped'
/** Event on a logical span: the model is told what was wrong with its answer. */
export const EVENT_REASK_SENT = 'steadycall.reask.sent'
/** Event on a logical span: the next attempt goes to another target. */
export const EVENT_FALLBACK_SELECTED = 'steadycall.fallback.selected'
/** Event on a logical span: somebody else retries too, below or above steadycall. */
export const EVENT_RETRIES_MULTIPLIED = 'steadycall.retries.multiplied'
/** Event on a logical span: another process has the key, and is waited for. */
export const EVENT_CLAIM_AWAITED = 'steadycall.claim.awaited'
/** Event on a logical span: an answer was made valid locally, without another request. */
export const EVENT_OUTPUT_REPAIRED = 'steadycall.output.repaired'
/** Event on a logical span: its next attempt waits in the line of its target. */
export const EVENT_WAIT = 'steadycall.wait'
/** Event on a logical span: a target was found in another state. */
export const EVENT_TARGET_CHANGED = 'steadycall.target.changed'
/** Event on an attempt's span: its stream broke after content had reached the caller. */
export const EVENT_STREAM_INTERRUPTED = 'steadycall.stream.interrupted'

/** string, on spans and metrics: the `FailureKind`. Absent on success and on a caller's abort. */
export const ERROR_TYPE = 'error.type'
/** string: host of the target. */
export const SERVER_ADDRESS = 'server.address'
/** int: port of the target. */
export const SERVER_PORT = 'server.port'
/** int, on attempts: the status of the response. */
export const HTTP_RESPONSE_STATUS_CODE = 'http.response.status_code'
/** int, on attempts caused by a retry: 1 for the first resend of the same request. */
export const HTTP_REQUEST_RESEND_COUNT = 'http.request.resend_count'
/** string[], on attempts: the provider's request id, what its support asks for. */
export const HTTP_RESPONSE_HEADER_X_REQUEST_ID = 'http.response.header.x-request-id'

/** string: always `chat`. */
export const GEN_AI_OPERATION_NAME = 'gen_ai.operation.name'
/** string: `openai` unless the target is known to be another provider. */
export const GEN_AI_PROVIDER_NAME = 'gen_ai.provider.name'
/** string: the model asked for. */
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
/** string: `json` or `text`, where a format was asked for. */
export const GEN_AI_OUTPUT_TYPE = 'gen_ai.output.type'
/** string: the provider's id of the completion returned. */
export const GEN_AI_RESPONSE_ID = 'gen_ai.response.id'
/** string: the model that answered. */
export const GEN_AI_RESPONSE_MODEL = 'gen_ai.response.model'
/** string[]: one per choice; `_OTHER` for a reason OpenAI does not define. */
export const GEN_AI_RESPONSE_FINISH_REASONS = 'gen_ai.response.finish_reasons'
/** double, seconds: from the start of the call to the first chunk of its stream. */
export const GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK = 'gen_ai.response.time_to_first_chunk'
/** int: sum over all attempts that reported usage, for each of them is billed. */
export const GEN_AI_USAGE_INPUT_TOKENS = 'gen_ai.usage.input_tokens'
/** int: sum over all attempts that reported usage, for each of them is billed. */
export const GEN_AI_USAGE_OUTPUT_TOKENS = 'gen_ai.usage.output_tokens'
/** int: of the input tokens, those read from the provider's prompt cache, where it told. */
export const GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS = 'gen_ai.usage.cache_read.input_tokens'
/** int: of the output tokens, those spent on reasoning, where the provider told. */
export const GEN_AI_USAGE_REASONING_OUTPUT_TOKENS = 'gen_ai.usage.reasoning.output_tokens'
/** string, opt-in: a JSON array of the messages sent, shaped as the conventions define. */
export const GEN_AI_INPUT_MESSAGES = 'gen_ai.input.messages'
/** string, opt-in: a JSON array of the messages returned, shaped as the conventions define. */
export const GEN_AI_OUTPUT_MESSAGES = 'gen_ai.output.messages'
/** string, on a metric: `input` or `output`. */
export const GEN_AI_TOKEN_TYPE = 'gen_ai.token.type'
/** string: always `chat_completions`. */
export const OPENAI_API_TYPE = 'openai.api.type'
/** string: the tier asked for, unless that is `auto`. */
export const OPENAI_REQUEST_SERVICE_TIER = 'openai.request.service_tier'
/** string: the tier that answered; `_OTHER` for one OpenAI does not define. */
export const OPENAI_RESPONSE_SERVICE_TIER = 'openai.response.service_tier'
/** string: the backend configuration that answered. */
export const OPENAI_RESPONSE_SYSTEM_FINGERPRINT = 'openai.response.system_fingerprint'

/** string: `success`, `recovered` (success after a failed attempt), `failed` or `aborted`. */
export const OUTCOME = 'steadycall.outcome'
/** string: `provider`, `store` (replayed) or `shared` (joined a call in flight). */
export const SOURCE = 'steadycall.source'
/** double, seconds: what the call was given. */
export const DEADLINE = 'steadycall.deadline'
/** string: the `StopReason`. */
export const STOP_REASON = 'steadycall.stop_reason'
/** string, on every span and event of a keyed call: first 12 hex digits of the stored hash. */
export const KEY_HASH = 'steadycall.idempotency.key_hash'
/** boolean, on calls whose result is to be kept: false when the store could not keep it. */
export const PERSISTED = 'steadycall.idempotency.persisted'
/** boolean: false when an attempt may have been billed unseen. */
export const USAGE_COMPLETE = 'steadycall.usage.complete'
/** int, on replayed and joined calls: tokens the work took when it was done. */
export const REPLAYED_INPUT_TOKENS = 'steadycall.replayed_usage.input_tokens'
/** int, on replayed and joined calls: tokens the work took when it was done. */
export const REPLAYED_OUTPUT_TOKENS = 'steadycall.replayed_usage.output_tokens'
/** string, on links: `joined` (waited for that call) or `replayed` (it did the work). */
export const LINK_KIND = 'steadycall.link.kind'
/** boolean: true when captured messages were shortened to fit. */
export const CONTENT_TRUNCATED = 'steadycall.content.truncated'
/** string: `below` (an SDK, a fetch: seen on the wire) or `above` (a loop around the call). */
export const MULTIPLIED_BY = 'steadycall.multiplied_by'
/** int: changes made to the answer locally. */
export const REPAIR_COUNT = 'steadycall.repair.count'
/** string[]: the rules that made them. */
export const REPAIR_RULES = 'steadycall.repair.rules'
/** int: problems named in a re-ask. */
export const REASK_ISSUE_COUNT = 'steadycall.reask.issue_count'
/** string: the state that a target left: `up`, `down` or `recovering`. */
export const TARGET_FROM = 'steadycall.target.from'
/** string: the state it is in. */
export const TARGET_TO = 'steadycall.target.to'
/** string: what a line holds a call back for: `hint`, `limit`, `down`, `budget` or `backoff`. */
export const WAIT_FOR = 'steadycall.wait.for'
/** double, seconds: the expected wait; absent where it cannot be known. */
export const WAIT_EXPECTED = 'steadycall.wait.expected'
/** int: calls that waited in the line already. */
export const WAIT_AHEAD = 'steadycall.wait.ahead'
/** double, seconds, on attempts, and on calls that waited in vain: for a hint of the provider. */
export const WAIT_HINT = 'steadycall.wait.hint'
/** double, seconds, on attempts, and on calls that waited in vain: for a place within a limit. */
export const WAIT_LIMIT = 'steadycall.wait.limit'
/** double, seconds, on attempts, and on calls that waited in vain: for a target that was down. */
export const WAIT_DOWN = 'steadycall.wait.down'
/** double, seconds, on attempts, and on calls that waited in vain: for the retry budget. */
export const WAIT_BUDGET = 'steadycall.wait.budget'
/** double, seconds, on attempts, and on calls that waited in vain: for its own backoff. */
export const WAIT_BACKOFF = 'steadycall.wait.backoff'
/** string, on events: host and model. */
export const TARGET = 'steadycall.target'
/** int: chunks of a stream that had come. */
export const STREAM_CHUNKS = 'steadycall.stream.chunks'
/** string: the target that failed, by its configured name. */
export const FALLBACK_FROM = 'steadycall.fallback.from'
/** string: the target that takes over, by its configured name. */
export const FALLBACK_TO = 'steadycall.fallback.to'
/** string, on metrics: the name given to `run`. */
export const RUN_NAME = 'steadycall.run.name'
/** double, seconds: waited before an attempt. */
export const DELAY_DURATION = 'steadycall.delay.duration'
/** string: `backoff` or `hint`. */
export const DELAY_SOURCE = 'steadycall.delay.source'
/** int: attempts made in all. */
export const ATTEMPT_COUNT = 'steadycall.attempt.count'
/** int: 1 for the first. */
export const ATTEMPT_NUMBER = 'steadycall.attempt.number'
/** string: `initial`, `retry`, `reask`, `fallback` or `hedge`. */
export const ATTEMPT_CAUSE = 'steadycall.attempt.cause'
/** boolean, on failed attempts: the same request could have been sent again. */
export const ATTEMPT_RETRYABLE = 'steadycall.attempt.retryable'
/** string, on failed attempts: `no`, `maybe` or `yes`: did the provider do the work? */
export const ATTEMPT_EXECUTED = 'steadycall.attempt.executed'
/** double, seconds: how long the provider asked to wait. */
export const ATTEMPT_RETRY_AFTER = 'steadycall.attempt.retry_after'
/** int: requests seen on the wire; more than one is somebody else's retry. */
export const ATTEMPT_WIRE_REQUESTS = 'steadycall.attempt.wire_requests'
/** int: requests the gateway made upstream for this attempt, where it told. */
export const ATTEMPT_GATEWAY_ATTEMPTS = 'steadycall.attempt.gateway_attempts'
/** boolean, only when true: the attempt is a probe of a target that is down. */
export const ATTEMPT_PROBE = 'steadycall.attempt.probe'
/** int: tokens this attempt was billed. */
export const ATTEMPT_INPUT_TOKENS = 'steadycall.attempt.usage.input_tokens'
/** int: tokens this attempt was billed. */
export const ATTEMPT_OUTPUT_TOKENS = 'steadycall.attempt.usage.output_tokens'
/** int: of this attempt's input tokens, those read from the provider's prompt cache. */
export const ATTEMPT_CACHE_READ_INPUT_TOKENS = 'steadycall.attempt.usage.cache_read.input_tokens'
/** int: of this attempt's output tokens, those spent on reasoning. */
export const ATTEMPT_REASONING_OUTPUT_TOKENS = 'steadycall.attempt.usage.reasoning.output_tokens'
/** double, seconds: from sending to the first chunk of the stream. */
export const ATTEMPT_TIME_TO_FIRST_CHUNK = 'steadycall.attempt.time_to_first_chunk'

/** Histogram, s: one logical chat call, retries and waits included. */
export const METRIC_OPERATION_DURATION = 'gen_ai.client.operation.duration'
/** Histogram, s: from the start of a streamed call to its first content. */
export const METRIC_TIME_TO_FIRST_CHUNK = 'gen_ai.client.operation.time_to_first_chunk'
/** Histogram, {token}: tokens of one attempt, by `gen_ai.token.type`. */
export const METRIC_TOKEN_USAGE = 'gen_ai.client.token.usage'
/** Histogram, s: one attempt. */
export const METRIC_ATTEMPT_DURATION = 'steadycall.attempt.duration'
/** Histogram, {attempt}: attempts of one logical call; 0 for a replay. */
export const METRIC_CALL_ATTEMPTS = 'steadycall.call.attempts'
/** Counter, {retry}: retries scheduled. */
export const METRIC_RETRIES = 'steadycall.retries'
/** double, seconds: until the lease on the key ends, if its owner does not renew it. */
export const LEASE_LEFT = 'steadycall.claim.lease_left'

/** Histogram, s: waits before retries, by what they came from. */
export const METRIC_RETRY_DELAY = 'steadycall.retry.delay'
/** Counter, {request}: requests that somebody else's retries added, by who adds them. */
export const METRIC_MULTIPLIED_RETRIES = 'steadycall.multiplied_retries'
/** Counter, {repair}: local repairs of answers. */
export const METRIC_REPAIRS = 'steadycall.repairs'
/** Counter, {reask}: answers sent back to the model, by what was wrong with them. */
export const METRIC_REASKS = 'steadycall.reasks'
/** Counter, {lookup}: calls with a kept key, by where their outcome came from. */
export const METRIC_KEY_LOOKUPS = 'steadycall.idempotency.lookups'
/** Counter, {token}: tokens that a replayed or joined call did not cost. */
export const METRIC_SAVED_TOKENS = 'steadycall.idempotency.saved_tokens'
/** Counter, {transition}: changes of a target's state. */
export const METRIC_TARGET_TRANSITIONS = 'steadycall.target.transitions'
/** Gauge: 0 up, 1 recovering, 2 down, as last seen by a call. */
export const METRIC_TARGET_STATE = 'steadycall.target.state'
/** Histogram, s: waits before attempts and in vain, by what they were for. */
export const METRIC_WAIT_DURATION = 'steadycall.wait.duration'
/** Counter, {call}: calls that ended because they could not wait any longer, by what for. */
export const METRIC_WAITS_IN_VAIN = 'steadycall.wait.in_vain'
/** UpDownCounter, {call}: logical calls that have not ended. */
export const METRIC_ACTIVE_CALLS = 'steadycall.active_calls'
