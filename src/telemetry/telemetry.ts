import {
  type Context,
  context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api'
import type { EngineEvent, EventOf, EventReader } from '../call/events.ts'
import type { AttemptReport } from '../errors/call-error.ts'
import { withoutUndefined } from '../without-undefined.ts'
import type { AttemptInfo, CallInfo } from './attributes.ts'
import * as names from './attributes.ts'
import { CallMeter } from './call-meter.ts'
import { answerMessages, captureMessages, capturesContent, field } from './content.ts'
import {
  attemptAttributes,
  attemptOutcome,
  attemptTarget,
  callAttributes,
  errorType,
  httpStatus,
  metricAttributes,
  outcomeAttributes,
  reportAttributes,
  samplingAttributes,
  shortHash,
} from './describe.ts'
import {
  annotate,
  currentTracer,
  endSpan,
  type Instruments,
  isMeasured,
  measure,
  openSpan,
  parentOf,
  quietly,
  readTraceparent,
  spanEvent,
  traceparentOf,
  withSpan,
} from './otel.ts'

export type { AttemptInfo, CallInfo, TargetHealth, TargetInfo } from './attributes.ts'
export { readOrigin, withOrigin } from './otel.ts'

/**
 * Opens the span of one call. Nothing here throws or changes the call's outcome: if a tracer, an exporter or a
 * `redact` hook throws, the error and the data concerned are dropped.
 */
export function startCall(info: CallInfo): CallSpan {
  return new CallSpan(info)
}

/**
 * Whether a call started now would be traced or measured, or its context used. Usually not: then
 * `UNWATCHED_CALL` is used instead, and nothing has to be described.
 */
export function isWatched(around: Context | undefined): boolean {
  return (
    parentOf(around) !== ROOT_CONTEXT || currentTracer(ROOT_CONTEXT) !== undefined || isMeasured()
  )
}

/** The span of one call: records the course of the call in the trace and the metrics. */
export class CallSpan implements EventReader {
  /** The caller's context with this span in it; work run in it is nested in the call. */
  readonly context: Context
  readonly #info: CallInfo | undefined
  readonly #tracer: Tracer | undefined
  readonly #span: Span | undefined
  readonly #meter: CallMeter | undefined
  #resends = 0
  #linkedTo: string | undefined
  #ended = false

  /** Without `info`, the span does nothing. */
  constructor(info: CallInfo | undefined) {
    this.#info = info
    this.context = ROOT_CONTEXT
    if (info === undefined) return
    this.#meter = new CallMeter(info)
    const parent = parentOf(info.around)
    this.#tracer = currentTracer(parent)
    const chat = info.operation === 'chat'
    this.#span = openSpan(
      this.#tracer,
      `${chat ? names.SPAN_CHAT : names.SPAN_RUN} ${info.name}`,
      chat ? SpanKind.CLIENT : SpanKind.INTERNAL,
      () => (chat ? samplingAttributes(info) : {}),
      parent,
    )
    this.context = withSpan(parent, this.#span)
    annotate(this.#span, (span) => {
      span.setAttributes(callAttributes(info))
    })
    this.#recordContent(names.GEN_AI_INPUT_MESSAGES, () => info.content?.messages)
  }

  /** Whether the answer should be shown: the user opted in to content, and the span is recorded. */
  get showsContent(): boolean {
    if (this.#info?.operation !== 'chat' || this.#span === undefined) return false
    const isRecording = quietly(() => this.#span?.isRecording()) === true
    return isRecording && capturesContent(this.#info.content)
  }

  /** W3C `traceparent` of this span, for links from calls that receive this call's result. */
  get traceparent(): string | undefined {
    return traceparentOf(this.#span)
  }

  /** Opens the child span of an attempt. The caller must end it, even after the call has ended. */
  startAttempt(attempt: AttemptInfo): AttemptSpan {
    if (this.#info === undefined) return UNWATCHED_ATTEMPT
    this.#meter?.waited(attempt, attempt.waits)
    const { cause } = attempt
    if (cause === 'retry') this.#resends += 1
    // A re-ask or a fallback is a new request; a hedge is a second copy of the current one.
    else if (cause !== 'hedge') this.#resends = 0
    return new AttemptSpan({
      call: this.#info,
      attempt,
      parent: this.context,
      tracer: this.#tracer,
      resendCount: cause === 'retry' ? this.#resends : undefined,
    })
  }

  /** Records an event of the call on its span and in the metrics; `call-settled` ends the span. */
  read(event: EngineEvent): void {
    switch (event.type) {
      case 'call-settled':
        this.#end(event)
        return
      case 'result-found':
        this.#linkTo(event)
        return
      default:
        this.#addEvent(event)
        this.#meter?.read(event)
    }
  }

  #addEvent(event: EngineEvent): void {
    annotate(this.#span, (span) => {
      const shown = spanEvent(event)
      if (shown === undefined) return
      const { name, attributes } = shown
      const key = { [names.KEY_HASH]: shortHash(this.#info?.key?.hash) }
      span.addEvent(name, withoutUndefined({ ...attributes, ...key }))
    })
  }

  #linkTo({ origin: traceparent, how }: EventOf<'result-found'>): void {
    annotate(this.#span, (span) => {
      // A shared failure names its origin again, which would duplicate the link.
      if (traceparent === undefined || traceparent === this.#linkedTo) return
      const origin = readTraceparent(traceparent)
      if (origin === undefined) return
      this.#linkedTo = traceparent
      span.addLink({ context: origin, attributes: { [names.LINK_KIND]: how } })
    })
  }

  /** Only the first time counts. */
  #end(settled: EventOf<'call-settled'>): void {
    const info = this.#info
    if (info === undefined || this.#ended) return
    this.#ended = true
    const { outcome } = settled.report
    annotate(this.#span, (span) => {
      span.setAttributes(outcomeAttributes(info, settled))
      if (errorType(outcome) !== undefined) span.setStatus({ code: SpanStatusCode.ERROR })
    })
    if (outcome === 'success') this.#recordAnswer(settled.traced.answer)
    endSpan(this.#span)
    this.#meter?.ended(settled)
  }

  #recordAnswer(answer: unknown): void {
    this.#recordContent(names.GEN_AI_OUTPUT_MESSAGES, () => answerMessages(answer))
    // Nothing is shown of a stream that was too long to assemble.
    if (!this.showsContent || field(answer, 'isCut') !== true) return
    annotate(this.#span, (span) => {
      span.setAttribute(names.CONTENT_TRUNCATED, true)
    })
  }

  #recordContent(name: string, messages: () => unknown): void {
    if (!this.showsContent) return
    annotate(this.#span, (span) => {
      const captured = captureMessages(messages(), this.#info?.content?.redact)
      if (captured === undefined) return
      span.setAttribute(name, captured.json)
      if (captured.truncated) span.setAttribute(names.CONTENT_TRUNCATED, true)
    })
  }
}

/** Shared by all calls that are neither traced nor measured. */
export const UNWATCHED_CALL: CallSpan = new CallSpan(undefined)

/** The span of one attempt, a child of its call's span. Has no `gen_ai.*` attributes, so nothing counts twice. */
export class AttemptSpan {
  /** The call's context with this span in it. */
  readonly context: Context
  readonly #target: CallInfo | undefined
  readonly #span: Span | undefined
  #ended = false

  /** Without `parts`, the span does nothing. */
  constructor(parts: SpanParts | undefined) {
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
export interface SpanParts {
  readonly call: CallInfo
  readonly attempt: AttemptInfo
  readonly parent: Context
  readonly tracer: Tracer | undefined
  readonly resendCount: number | undefined
}
