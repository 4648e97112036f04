import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api'
import type { StopReason, Wait } from '../errors/call-error.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import { withoutUndefined } from '../without-undefined.ts'
import { AttemptSpan, UNWATCHED_ATTEMPT } from './attempt-span.ts'
import * as names from './attributes.ts'
import type {
  AttemptInfo,
  CallInfo,
  CallOutcome,
  TargetHealth,
  TargetInfo,
  WaitFor,
} from './call-info.ts'
import { CallMeter } from './call-meter.ts'
import { answerMessages, captureMessages, capturesContent, field } from './content.ts'
import {
  callAttributes,
  errorType,
  failureOf,
  outcomeAttributes,
  samplingAttributes,
  shortHash,
} from './describe.ts'
import { isMeasured } from './metrics.ts'
import {
  annotate,
  currentTracer,
  endSpan,
  openSpan,
  parentOf,
  quietly,
  readTraceparent,
  traceparentOf,
  withSpan,
} from './spans.ts'

export type { AttemptSpan } from './attempt-span.ts'
export type { AttemptInfo, CallInfo, CallOutcome, TargetHealth, TargetInfo } from './call-info.ts'
export { readOrigin, withOrigin } from './origin.ts'
export { StreamedAnswer } from './streamed-answer.ts'

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
export class CallSpan {
  /** The caller's context with this span in it; work run in it is nested in the call. */
  readonly context: Context
  readonly #info: CallInfo | undefined
  readonly #tracer: Tracer | undefined
  readonly #span: Span | undefined
  readonly #meter: CallMeter | undefined
  #resends = 0
  #repairs = 0
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

  /** Links to the call that did the work: it was joined in flight, or its result is replayed. */
  linkTo(traceparent: string | undefined, kind: 'joined' | 'replayed'): void {
    annotate(this.#span, (span) => {
      // A shared failure names its origin again, which would duplicate the link.
      if (traceparent === undefined || traceparent === this.#linkedTo) return
      const origin = readTraceparent(traceparent)
      if (origin === undefined) return
      this.#linkedTo = traceparent
      span.addLink({ context: origin, attributes: { [names.LINK_KIND]: kind } })
    })
  }

  /** Opens the child span of an attempt. The caller must end it, even after the call has ended. */
  startAttempt(attempt: AttemptInfo): AttemptSpan {
    if (attempt.waits !== undefined) this.waited(attempt, attempt.waits)
    if (this.#info === undefined) return UNWATCHED_ATTEMPT
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

  /** Attempt `number` failed with `kind`; the next one follows after `delayMs`. */
  retryScheduled(retry: {
    readonly number: number
    readonly kind: FailureKind
    readonly delayMs: number
    readonly delaySource: 'backoff' | 'hint'
  }): void {
    this.#addEvent(names.EVENT_RETRY_SCHEDULED, () => ({
      [names.ATTEMPT_NUMBER]: retry.number,
      [names.ERROR_TYPE]: retry.kind,
      [names.DELAY_DURATION]: retry.delayMs / 1_000,
      [names.DELAY_SOURCE]: retry.delaySource,
    }))
    this.#meter?.retryScheduled(retry.kind, retry.delayMs, retry.delaySource)
  }

  /** No further attempt follows. */
  stopped(stop: {
    readonly reason: StopReason
    readonly kind: FailureKind
    /** What held the next attempt back, if a wait for it could not end in time. */
    readonly heldBy?: WaitFor | undefined
  }): void {
    this.#addEvent(names.EVENT_RETRY_STOPPED, () => ({
      [names.STOP_REASON]: stop.reason,
      [names.ERROR_TYPE]: stop.kind,
      [names.WAIT_FOR]: stop.heldBy,
    }))
  }

  /** The answer of attempt `number` was rejected, and the model is told why. */
  reaskSent(reask: {
    readonly number: number
    readonly kind: FailureKind
    readonly issueCount: number
  }): void {
    this.#addEvent(names.EVENT_REASK_SENT, () => ({
      [names.ATTEMPT_NUMBER]: reask.number,
      [names.ERROR_TYPE]: reask.kind,
      [names.REASK_ISSUE_COUNT]: reask.issueCount,
    }))
    this.#meter?.reaskSent(reask.kind)
  }

  /** Attempt `number` failed with `kind`; the next one goes to another target. */
  fallbackSelected(fallback: {
    readonly number: number
    readonly from?: string | undefined
    readonly to: string
    readonly kind: FailureKind
  }): void {
    this.#addEvent(names.EVENT_FALLBACK_SELECTED, () => ({
      [names.ATTEMPT_NUMBER]: fallback.number,
      [names.FALLBACK_FROM]: fallback.from,
      [names.FALLBACK_TO]: fallback.to,
      [names.ERROR_TYPE]: fallback.kind,
    }))
  }

  /** This call found a target in another state, usually because the call changed it. */
  targetChanged(
    change: TargetInfo & {
      readonly target: string
      readonly from: TargetHealth
      readonly to: TargetHealth
    },
  ): void {
    this.#addEvent(names.EVENT_TARGET_CHANGED, () => ({
      [names.TARGET]: change.target,
      [names.TARGET_FROM]: change.from,
      [names.TARGET_TO]: change.to,
    }))
    this.#meter?.targetChanged(change, change.from, change.to)
  }

  /** The next attempt waits in the queue of its target. */
  waiting(wait: {
    readonly target: string
    readonly for: WaitFor
    /** Infinity if it cannot be known. */
    readonly expectedMs: number
    readonly ahead: number
  }): void {
    this.#addEvent(names.EVENT_WAIT, () => ({
      [names.TARGET]: wait.target,
      [names.WAIT_FOR]: wait.for,
      [names.WAIT_EXPECTED]: wait.expectedMs === Infinity ? undefined : wait.expectedMs / 1_000,
      [names.WAIT_AHEAD]: wait.ahead,
    }))
  }

  /** Measures the waits for this target. The span shows them as attributes. */
  waited(target: TargetInfo, waits: readonly Wait[]): void {
    for (const { for: what, ms } of waits) this.#meter?.waited(target, what, ms)
  }

  /** Counts a call that ended because it could not wait any longer. The span shows the reason in an event. */
  waitedInVain(target: TargetInfo, what: WaitFor): void {
    this.#meter?.waitedInVain(target, what)
  }

  /** More than one request was made for one attempt, as observed on the wire or reported by the gateway. */
  multipliedRetries(seen: {
    readonly wireRequests: number
    readonly gatewayAttempts?: number
  }): void {
    const { wireRequests, gatewayAttempts } = seen
    this.#addEvent(names.EVENT_RETRIES_MULTIPLIED, () => ({
      [names.MULTIPLIED_BY]: 'below',
      [names.ATTEMPT_WIRE_REQUESTS]: wireRequests,
      [names.ATTEMPT_GATEWAY_ATTEMPTS]: gatewayAttempts,
    }))
    const added = Math.max(wireRequests, gatewayAttempts ?? 1) - 1
    this.#meter?.multiplied('below', Math.max(1, added))
  }

  /** The same request failed a moment ago and comes again, so a loop around the call retries too. */
  callRepeated(): void {
    this.#addEvent(names.EVENT_RETRIES_MULTIPLIED, () => ({ [names.MULTIPLIED_BY]: 'above' }))
    this.#meter?.multiplied('above', 1)
  }

  /** Another process has the key; its lease expires in this time, unless renewed. */
  claimAwaited(leaseLeftMs: number): void {
    this.#addEvent(names.EVENT_CLAIM_AWAITED, () => ({ [names.LEASE_LEFT]: leaseLeftMs / 1_000 }))
  }

  /** An answer became valid by local repairs. `rules` are our own names, never text of the answer. */
  repaired(repair: { readonly count: number; readonly rules?: readonly string[] }): void {
    this.#repairs += repair.count
    this.#addEvent(names.EVENT_OUTPUT_REPAIRED, () => ({
      [names.REPAIR_COUNT]: repair.count,
      [names.REPAIR_RULES]: repair.rules && [...new Set(repair.rules)],
    }))
  }

  /** Ends the span. Only the first call counts. */
  end(outcome: CallOutcome): void {
    const info = this.#info
    if (info === undefined || this.#ended) return
    this.#ended = true
    const repairs = (outcome.ok ? outcome.repairs : undefined) ?? this.#repairs
    annotate(this.#span, (span) => {
      span.setAttributes(outcomeAttributes(info, outcome, repairs))
      if (errorType(failureOf(outcome)) !== undefined)
        span.setStatus({ code: SpanStatusCode.ERROR })
    })
    if (outcome.ok) this.#recordAnswer(outcome.answer)
    endSpan(this.#span)
    this.#meter?.ended(outcome, repairs)
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

  #addEvent(name: string, attributes: () => Attributes): void {
    annotate(this.#span, (span) => {
      span.addEvent(
        name,
        withoutUndefined({ ...attributes(), [names.KEY_HASH]: shortHash(this.#info?.key?.hash) }),
      )
    })
  }
}

/** Shared by all calls that are neither traced nor measured. */
export const UNWATCHED_CALL: CallSpan = new CallSpan(undefined)
