import {
  type Context,
  context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api'
import type { AttemptReport } from '../errors/call-error.ts'
import { withoutUndefined } from '../without-undefined.ts'
import * as names from './attributes.ts'
import type { AttemptInfo, CallInfo } from './call-info.ts'
import {
  attemptAttributes,
  attemptOutcome,
  attemptTarget,
  errorType,
  httpStatus,
  metricAttributes,
  reportAttributes,
  shortHash,
} from './describe.ts'
import { type Instruments, measure } from './metrics.ts'
import { annotate, endSpan, openSpan, traceparentOf, withSpan } from './spans.ts'

/** The span of one attempt, a child of its call's span. Has no `gen_ai.*` attributes, so nothing counts twice. */
export class AttemptSpan {
  /** The call's context with this span in it. */
  readonly context: Context
  readonly #target: CallInfo | undefined
  readonly #span: Span | undefined
  #ended = false

  /** Without `parts`, the span does nothing. */
  constructor(parts: AttemptParts | undefined) {
    this.context = ROOT_CONTEXT
    if (parts === undefined) return
    const target = attemptTarget(parts.call, parts.attempt)
    this.#target = target
    this.#span = openSpan(
      parts.tracer,
      `${names.SPAN_ATTEMPT} ${target.name}`,
      parts.call.operation === 'chat' ? SpanKind.CLIENT : SpanKind.INTERNAL,
      NO_ATTRIBUTES,
      parts.parent,
    )
    this.context = withSpan(parts.parent, this.#span)
    annotate(this.#span, (span) => {
      span.setAttributes(attemptAttributes(target, parts.attempt, parts.resendCount))
    })
  }

  /** Calls `fn` once with this span active; returns or throws whatever `fn` does. */
  run<T>(fn: () => T): T {
    if (this.#target === undefined) return fn()
    let called = false
    try {
      return context.with(this.context, () => {
        called = true
        return fn()
      })
    } catch (error) {
      // A context manager that fails before calling `fn` must not fail the attempt.
      if (called) throw error
      return fn()
    }
  }

  /** W3C `traceparent` of this span, for a gateway that continues the trace. */
  get traceparent(): string | undefined {
    return traceparentOf(this.#span)
  }

  /** Ends the span. Only the first call counts. */
  end(report: AttemptReport, stream: StreamFacts = {}): void {
    const target = this.#target
    if (target === undefined || this.#ended) return
    this.#ended = true
    const chat = target.operation === 'chat'
    annotate(this.#span, (span) => {
      span.setAttributes(reportAttributes(report, stream.firstChunkMs, chat))
      tellInterruption(span, target, report, stream)
      if (errorType(report.outcome) !== undefined) span.setStatus({ code: SpanStatusCode.ERROR })
    })
    endSpan(this.#span)
    measure((measured) => {
      measureAttempt(measured, target, report)
    })
  }
}

/** Shared by all attempts that are neither traced nor measured. */
export const UNWATCHED_ATTEMPT: AttemptSpan = new AttemptSpan(undefined)

function tellInterruption(
  span: Span,
  { key }: CallInfo,
  { outcome }: AttemptReport,
  { chunks }: StreamFacts,
): void {
  const error = errorType(outcome)
  if (chunks === undefined || error === undefined) return
  span.addEvent(
    names.EVENT_STREAM_INTERRUPTED,
    withoutUndefined({
      [names.STREAM_CHUNKS]: chunks,
      [names.ERROR_TYPE]: error,
      [names.KEY_HASH]: shortHash(key?.hash),
    }),
  )
}

function measureAttempt(measured: Instruments, target: CallInfo, report: AttemptReport): void {
  const chat = target.operation === 'chat'
  const base = metricAttributes(target, measured.closed)
  const attributes = withoutUndefined({
    ...base,
    [names.ATTEMPT_CAUSE]: report.cause,
    [names.OUTCOME]: attemptOutcome(report),
    [names.ERROR_TYPE]: errorType(report.outcome),
    [names.HTTP_RESPONSE_STATUS_CODE]: chat ? httpStatus(report.status) : undefined,
  })
  measured.attemptDuration.record(report.durationMs / 1_000, attributes)
  if (!chat || report.usage === undefined) return
  const { inputTokens, outputTokens } = report.usage
  measured.tokenUsage.record(inputTokens, { ...base, [names.GEN_AI_TOKEN_TYPE]: 'input' })
  measured.tokenUsage.record(outputTokens, { ...base, [names.GEN_AI_TOKEN_TYPE]: 'output' })
}

const NO_ATTRIBUTES = () => ({})

/** Facts about an attempt that was a stream. */
export interface StreamFacts {
  /** Time from sending the request to the first chunk. */
  readonly firstChunkMs?: number | undefined
  /** Number of chunks received; set if content has reached the caller. */
  readonly chunks?: number | undefined
}

/** What a call passes to the span of its attempt. */
export interface AttemptParts {
  readonly call: CallInfo
  readonly attempt: AttemptInfo
  readonly parent: Context
  readonly tracer: Tracer | undefined
  readonly resendCount: number | undefined
}
