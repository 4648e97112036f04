import type { Attributes } from '@opentelemetry/api'
import type { EventOf } from '../call/events.ts'
import {
  type AttemptReport,
  sumOfTokens,
  type TokenCounts,
  type Wait,
} from '../errors/call-error.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import type { CallReport } from '../report/call-report.ts'
import * as names from './attributes.ts'
import {
  type AttemptInfo,
  type CallInfo,
  type ClosedSets,
  isName,
  type RequestInfo,
  type ResponseInfo,
  type TargetInfo,
  type WaitFor,
} from './attributes.ts'

/** Attributes that the conventions require when a chat span is created, for samplers. */
export function samplingAttributes(info: CallInfo): Attributes {
  const attributes: Attributes = {
    [names.GEN_AI_OPERATION_NAME]: 'chat',
    [names.GEN_AI_PROVIDER_NAME]: info.providerName ?? 'openai',
    [names.GEN_AI_REQUEST_MODEL]: info.name,
  }
  if (info.host !== undefined) attributes[names.SERVER_ADDRESS] = info.host
  if (info.port !== undefined) attributes[names.SERVER_PORT] = info.port
  return attributes
}

/** Further attributes known when a call starts. */
export function callAttributes(info: CallInfo): Attributes {
  const own = {
    [names.DEADLINE]: info.deadlineMs / 1_000,
    [names.KEY_HASH]: shortHash(info.key?.hash),
  }
  if (info.operation === 'run') return own
  return { ...own, [names.OPENAI_API_TYPE]: 'chat_completions', ...requestAttributes(info.request) }
}

function requestAttributes(request: RequestInfo = {}): Attributes {
  const { stop, choiceCount, serviceTier } = request
  return {
    [names.GEN_AI_REQUEST_MAX_TOKENS]: request.maxTokens,
    [names.GEN_AI_REQUEST_TEMPERATURE]: request.temperature,
    [names.GEN_AI_REQUEST_TOP_P]: request.topP,
    [names.GEN_AI_REQUEST_SEED]: request.seed,
    [names.GEN_AI_REQUEST_FREQUENCY_PENALTY]: request.frequencyPenalty,
    [names.GEN_AI_REQUEST_PRESENCE_PENALTY]: request.presencePenalty,
    [names.OPENAI_REQUEST_SERVICE_TIER]:
      serviceTier === 'auto' ? undefined : knownTier(serviceTier),
    [names.GEN_AI_REQUEST_STOP_SEQUENCES]: typeof stop === 'string' ? [stop] : stop && [...stop],
    [names.GEN_AI_REQUEST_CHOICE_COUNT]: choiceCount === 1 ? undefined : choiceCount,
    [names.GEN_AI_REQUEST_STREAM]: request.stream === true ? true : undefined,
    [names.GEN_AI_OUTPUT_TYPE]: request.outputType,
  }
}

/** Attributes of the outcome of a call. */
export function outcomeAttributes(
  info: CallInfo,
  { report, traced: { response, firstChunkMs } }: EventOf<'call-settled'>,
): Attributes {
  const chat = info.operation === 'chat'
  const ok = report.outcome === 'success'
  return {
    [names.OUTCOME]: outcomeName(report),
    [names.SOURCE]: report.source,
    [names.ATTEMPT_COUNT]: report.attempts.length,
    [names.ERROR_TYPE]: errorType(report.outcome),
    [names.STOP_REASON]: report.reason,
    ...(!ok && waitAttributes(report.waits)),
    // Meaningless for a call whose result is not to be stored.
    [names.PERSISTED]: ok && info.isStored === true ? report.persisted : undefined,
    [names.REPAIR_COUNT]: report.repairs?.length,
    ...(chat && usageAttributes(report)),
    [names.REPLAYED_INPUT_TOKENS]: ok ? report.replayedUsage?.inputTokens : undefined,
    [names.REPLAYED_OUTPUT_TOKENS]: ok ? report.replayedUsage?.outputTokens : undefined,
    ...(chat && ok && responseAttributes(response)),
    ...(chat && { [names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK]: seconds(firstChunkMs) }),
  }
}

// A replayed call was billed nothing, and the tokens of a joined call are on the owner's span.
function usageAttributes({ source, attempts, usage }: CallReport): Attributes {
  if (source !== 'provider') return {}
  const billed = attempts.flatMap(({ usage: used }) => used ?? [])
  return {
    ...(billed.length > 0 && tokenAttributes(sumOfTokens(billed))),
    [names.USAGE_COMPLETE]: usage.complete,
  }
}

function tokenAttributes(sum: TokenCounts): Attributes {
  return {
    [names.GEN_AI_USAGE_INPUT_TOKENS]: sum.inputTokens,
    [names.GEN_AI_USAGE_OUTPUT_TOKENS]: sum.outputTokens,
    [names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS]: sum.cachedInputTokens,
    [names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS]: sum.reasoningOutputTokens,
  }
}

function responseAttributes(response: ResponseInfo = {}): Attributes {
  return {
    [names.GEN_AI_RESPONSE_ID]: identifier(response.id),
    [names.GEN_AI_RESPONSE_MODEL]: identifier(response.model),
    [names.GEN_AI_RESPONSE_FINISH_REASONS]: response.finishReasons
      ?.slice(0, MAX_CHOICES)
      .map((reason) => (FINISH_REASONS.has(reason) ? reason : '_OTHER')),
    [names.OPENAI_RESPONSE_SYSTEM_FINGERPRINT]: identifier(response.systemFingerprint),
    [names.OPENAI_RESPONSE_SERVICE_TIER]: knownTier(response.serviceTier),
  }
}

function knownTier(tier: string | undefined): string | undefined {
  return tier === undefined || SERVICE_TIERS.has(tier) ? tier : '_OTHER'
}

// The tiers in openai's types.
const SERVICE_TIERS: ReadonlySet<string> = new Set(['auto', 'default', 'flex', 'scale', 'priority'])

// OpenAI accepts n up to 128.
const MAX_CHOICES = 128
const FINISH_REASONS: ReadonlySet<string> = new Set([
  'stop',
  'length',
  'tool_calls',
  'content_filter',
  'function_call',
])

/** The call with the target of one of its attempts: a fallback has another model and possibly another host. */
export function attemptTarget(call: CallInfo, attempt: TargetInfo): CallInfo {
  const { model = call.name, providerName = call.providerName, host = call.host, port } = attempt
  const samePort = attempt.host === undefined || port === call.port
  const isPrimary = model === call.name && providerName === call.providerName && host === call.host
  if (isPrimary && samePort) return call
  return {
    ...call,
    name: model,
    providerName,
    host,
    port: attempt.host === undefined ? call.port : port,
  }
}

/** Attributes known when an attempt starts. */
export function attemptAttributes(
  target: CallInfo,
  attempt: AttemptInfo,
  resendCount: number | undefined,
): Attributes {
  return {
    [names.ATTEMPT_NUMBER]: attempt.number,
    [names.ATTEMPT_CAUSE]: attempt.cause,
    [names.ATTEMPT_PROBE]: attempt.isProbe === true ? true : undefined,
    [names.SERVER_ADDRESS]: target.host,
    [names.SERVER_PORT]: target.port,
    [names.HTTP_REQUEST_RESEND_COUNT]: target.operation === 'chat' ? resendCount : undefined,
    [names.DELAY_DURATION]: attempt.delayMs > 0 ? attempt.delayMs / 1_000 : undefined,
    [names.DELAY_SOURCE]: attempt.delaySource,
    ...waitAttributes(attempt.waits),
    [names.KEY_HASH]: shortHash(target.key?.hash),
  }
}

/** Attributes of the result of an attempt. */
export function reportAttributes(
  report: AttemptReport,
  firstChunkMs: number | undefined,
  chat: boolean,
): Attributes {
  const failed = report.outcome !== 'success'
  const requestId = identifier(report.requestId)
  return {
    [names.OUTCOME]: attemptOutcome(report),
    [names.ERROR_TYPE]: errorType(report.outcome),
    [names.ATTEMPT_RETRYABLE]: failed ? report.retryable : undefined,
    [names.ATTEMPT_EXECUTED]: failed ? report.executed : undefined,
    [names.ATTEMPT_RETRY_AFTER]: seconds(report.retryAfterMs),
    [names.ATTEMPT_WIRE_REQUESTS]: report.wireRequests,
    [names.ATTEMPT_GATEWAY_ATTEMPTS]: report.gatewayAttempts,
    [names.ATTEMPT_INPUT_TOKENS]: report.usage?.inputTokens,
    [names.ATTEMPT_OUTPUT_TOKENS]: report.usage?.outputTokens,
    [names.ATTEMPT_CACHE_READ_INPUT_TOKENS]: report.usage?.cachedInputTokens,
    [names.ATTEMPT_REASONING_OUTPUT_TOKENS]: report.usage?.reasoningOutputTokens,
    [names.ATTEMPT_TIME_TO_FIRST_CHUNK]: seconds(firstChunkMs),
    ...(chat && {
      [names.HTTP_RESPONSE_STATUS_CODE]: httpStatus(report.status),
      [names.HTTP_RESPONSE_HEADER_X_REQUEST_ID]: requestId && [requestId],
    }),
  }
}

/** The attributes of every metric: only values configured by the application, limited in number. */
export function metricAttributes(info: CallInfo, closed: ClosedSets): Attributes {
  if (info.operation === 'run') {
    return { [names.RUN_NAME]: closed.admit(names.RUN_NAME, info.name) }
  }
  const { name, host } = info
  return {
    ...samplingAttributes(info),
    [names.GEN_AI_REQUEST_MODEL]: closed.admitName(names.GEN_AI_REQUEST_MODEL, name),
    ...(host !== undefined && {
      [names.SERVER_ADDRESS]: closed.admitName(names.SERVER_ADDRESS, host),
    }),
  }
}

/** `recovered`: the call succeeded although an attempt had failed. */
export function outcomeName({
  outcome,
  attempts,
}: CallReport): 'success' | 'recovered' | 'failed' | 'aborted' {
  if (outcome !== 'success') return outcome === 'aborted' ? 'aborted' : 'failed'
  const recovered = attempts.some((attempt) => errorType(attempt.outcome) !== undefined)
  return recovered ? 'recovered' : 'success'
}

/** Like `outcomeName`, for one attempt. */
export function attemptOutcome({ outcome }: AttemptReport): 'success' | 'failed' | 'aborted' {
  return outcome === 'success' || outcome === 'aborted' ? outcome : 'failed'
}

/**
 * `error.type`, or undefined if there is no error. An abort by the caller is not an error (semantic conventions
 * for HTTP spans, version 1.41).
 */
export function errorType(outcome: 'success' | FailureKind): FailureKind | undefined {
  return outcome === 'success' || outcome === 'aborted' ? undefined : outcome
}

/** A valid HTTP status (RFC 9110 §15), or undefined. */
export function httpStatus(status: number | undefined): number | undefined {
  if (status === undefined || !Number.isInteger(status)) return undefined
  return status >= 100 && status <= 599 ? status : undefined
}

/** The first 12 digits of a hash of 64 hex digits. Undefined for anything else, which may be a raw key. */
export function shortHash(hash: string | undefined): string | undefined {
  return hash !== undefined && /^[0-9a-f]{64}$/.test(hash) ? hash.slice(0, 12) : undefined
}

// Ids come from the provider and are shown unchanged, so anything that is not a plain id is dropped.
function identifier(value: string | undefined): string | undefined {
  return value !== undefined && isName(value) ? value : undefined
}

function seconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1_000
}

const WAITS: Readonly<Record<WaitFor, string>> = {
  hint: names.WAIT_HINT,
  limit: names.WAIT_LIMIT,
  down: names.WAIT_DOWN,
  budget: names.WAIT_BUDGET,
  backoff: names.WAIT_BACKOFF,
}

function waitAttributes(waits: readonly Wait[] | undefined): Attributes | undefined {
  if (waits === undefined) return undefined
  return Object.fromEntries(waits.map((wait) => [WAITS[wait.for], wait.ms / 1_000]))
}
