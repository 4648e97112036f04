import {
  type Attributes,
  type Context,
  type Counter,
  context,
  createNoopMeter,
  type Gauge,
  type Histogram,
  INVALID_SPANID,
  isSpanContextValid,
  type Meter,
  type MeterProvider,
  metrics,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanKind,
  type Tracer,
  trace,
  type UpDownCounter,
} from '@opentelemetry/api'
import type { EngineEvent } from '../call/events.ts'
import * as names from './attributes.ts'
import { ClosedSets } from './attributes.ts'

/**
 * Our tracer for a call under `parent`. Looked up for every call, because the application may register its
 * provider at any time. Undefined if spans are not recorded and there is no parent span to propagate. Avoids
 * `trace.getTracer()`, which drops the schema URL in versions 1.9 and 1.10 of the API.
 */
export function currentTracer(parent: Context): Tracer | undefined {
  return quietly(() => {
    const provider = trace.getTracerProvider()
    // ProxyTracerProvider is the API's placeholder until an SDK is registered.
    return parent === ROOT_CONTEXT && provider instanceof ProxyTracerProvider
      ? provider.getDelegateTracer(names.SCOPE_NAME, names.SCOPE_VERSION, SCOPE_OPTIONS)
      : provider.getTracer(names.SCOPE_NAME, names.SCOPE_VERSION, SCOPE_OPTIONS)
  })
}

const SCOPE_OPTIONS = { schemaUrl: names.SCHEMA_URL }

/**
 * Starts a span, or returns undefined if that fails. The parent is passed explicitly, so that attempts are
 * nested in their call even without a context manager.
 */
export function openSpan(
  tracer: Tracer | undefined,
  name: string,
  kind: SpanKind,
  attributes: () => Attributes,
  parent: Context,
): Span | undefined {
  if (tracer === undefined) return undefined
  return quietly(() => tracer.startSpan(name, { kind, attributes: attributes() }, parent))
}

/**
 * The parent of a new call: the caller's active span, or, if the application has no context manager, the
 * attempt in which the call is made.
 */
export function parentOf(around: Context | undefined): Context {
  const active = quietly(() => context.active()) ?? ROOT_CONTEXT
  if (around === undefined || active !== ROOT_CONTEXT) return active
  // With a context manager, an empty active context is intended.
  const isManaged = quietly(() => context.with(around, () => context.active() === around))
  return isManaged === true ? active : around
}

/** The context with the span in it; unchanged if there is no span, or no SDK that created a real one. */
export function withSpan(parent: Context, span: Span | undefined): Context {
  if (span === undefined) return parent
  return quietly(() => (isNoop(span) ? parent : trace.setSpan(parent, span))) ?? parent
}

// Without an SDK every span has the invalid id, which is useless as a parent.
function isNoop(span: Span): boolean {
  return span.spanContext().spanId === INVALID_SPANID
}

/** Runs `work` if the span is being recorded; otherwise costs next to nothing. */
export function annotate(span: Span | undefined, work: (span: Span) => void): void {
  if (span === undefined) return
  quietly(() => {
    if (span.isRecording()) work(span)
  })
}

/** Ends the span, if there is one. */
export function endSpan(span: Span | undefined): void {
  if (span !== undefined) quietly(() => span.end())
}

/** The span's context as a W3C `traceparent` header; undefined if no SDK created it. */
export function traceparentOf(span: Span | undefined): string | undefined {
  if (span === undefined) return undefined
  return quietly(() => {
    const found = span.spanContext()
    if (!isSpanContextValid(found)) return undefined
    const flags = (found.traceFlags & 0xff).toString(16).padStart(2, '0')
    return `00-${found.traceId}-${found.spanId}-${flags}`
  })
}

/** Parses a `traceparent`. Undefined if it is invalid, since it may come from a store. */
export function readTraceparent(text: string): SpanContext | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(text) ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  const found = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
  return isSpanContextValid(found) ? found : undefined
}

// https://www.w3.org/TR/trace-context/#traceparent-header, version 00
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** The result of `work`, or undefined if it throws: telemetry never changes the outcome of a call. */
export function quietly<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}

/** The instruments; their units and meanings are documented next to their names in `attributes.ts`. */
export interface Instruments {
  readonly operationDuration: Histogram
  readonly timeToFirstChunk: Histogram
  readonly tokenUsage: Histogram
  readonly attemptDuration: Histogram
  readonly callAttempts: Histogram
  readonly retries: Counter
  readonly retryDelay: Histogram
  readonly multipliedRetries: Counter
  readonly repairs: Counter
  readonly reasks: Counter
  readonly keyLookups: Counter
  readonly savedTokens: Counter
  readonly targetTransitions: Counter
  readonly targetState: Gauge
  readonly waitDuration: Histogram
  readonly waitsInVain: Counter
  readonly activeCalls: UpDownCounter
  /** Limits the values of attributes. */
  readonly closed: ClosedSets
}

/** Calls `record` with the instruments, if the application has registered a MeterProvider. */
export function measure(record: (measured: Instruments) => void): void {
  quietly(() => {
    const measured = instruments()
    if (measured !== undefined) record(measured)
  })
}

/** Whether the application has registered a MeterProvider. */
export function isMeasured(): boolean {
  return quietly(instruments) !== undefined
}

// The API has no proxy for meters: an instrument created before the application registers its provider never
// records anything. So instruments are created on first use, once per provider.
const byProvider = new WeakMap<MeterProvider, Instruments | 'none'>()

function instruments(): Instruments | undefined {
  const provider = metrics.getMeterProvider()
  let known = byProvider.get(provider)
  if (known === undefined) {
    const meter = provider.getMeter(names.SCOPE_NAME, names.SCOPE_VERSION, {
      schemaUrl: names.SCHEMA_URL,
    })
    known = meter === createNoopMeter() ? 'none' : create(meter)
    byProvider.set(provider, known)
  }
  return known === 'none' ? undefined : known
}

// The boundaries that the conventions define for both `gen_ai` metrics (gen-ai-metrics, version 1.41).
const SECONDS = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
]
const TOKENS = [
  1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
  67_108_864,
]
// maxAttempts is at most 10. A boundary belongs to the bucket below it, so 0 (replays) has a bucket of its own.
const ATTEMPTS = [0, 1, 2, 3, 4, 5, 7, 10]

function create(meter: Meter): Instruments {
  return {
    operationDuration: meter.createHistogram(names.METRIC_OPERATION_DURATION, {
      description: 'Duration of a chat call with all its attempts and waits',
      unit: 's',
      advice: { explicitBucketBoundaries: SECONDS },
    }),
    timeToFirstChunk: meter.createHistogram(names.METRIC_TIME_TO_FIRST_CHUNK, {
      description: 'Time from the start of a streamed call to its first content',
      unit: 's',
      advice: { explicitBucketBoundaries: SECONDS },
    }),
    tokenUsage: meter.createHistogram(names.METRIC_TOKEN_USAGE, {
      description: 'Tokens of an attempt',
      unit: '{token}',
      advice: { explicitBucketBoundaries: TOKENS },
    }),
    attemptDuration: meter.createHistogram(names.METRIC_ATTEMPT_DURATION, {
      description: 'Duration of one attempt',
      unit: 's',
      advice: { explicitBucketBoundaries: SECONDS },
    }),
    callAttempts: meter.createHistogram(names.METRIC_CALL_ATTEMPTS, {
      description: 'Attempts made for one call',
      unit: '{attempt}',
      advice: { explicitBucketBoundaries: ATTEMPTS },
    }),
    retries: meter.createCounter(names.METRIC_RETRIES, {
      description: 'Retries scheduled',
      unit: '{retry}',
    }),
    retryDelay: meter.createHistogram(names.METRIC_RETRY_DELAY, {
      description: 'Waits before retries',
      unit: 's',
      advice: { explicitBucketBoundaries: SECONDS },
    }),
    multipliedRetries: meter.createCounter(names.METRIC_MULTIPLIED_RETRIES, {
      description: 'Requests added by the retries of another layer',
      unit: '{request}',
    }),
    repairs: meter.createCounter(names.METRIC_REPAIRS, {
      description: 'Local repairs of answers',
      unit: '{repair}',
    }),
    reasks: meter.createCounter(names.METRIC_REASKS, {
      description: 'Answers sent back to the model',
      unit: '{reask}',
    }),
    ...createForTargets(meter),
    keyLookups: meter.createCounter(names.METRIC_KEY_LOOKUPS, {
      description: 'Calls with a stored idempotency key',
      unit: '{lookup}',
    }),
    savedTokens: meter.createCounter(names.METRIC_SAVED_TOKENS, {
      description: 'Tokens saved by replayed and joined calls',
      unit: '{token}',
    }),
    activeCalls: meter.createUpDownCounter(names.METRIC_ACTIVE_CALLS, {
      description: 'Calls that have not ended',
      unit: '{call}',
    }),
    closed: new ClosedSets(),
  }
}

/** The instruments for targets and the waits for them. */
function createForTargets(
  meter: Meter,
): Pick<Instruments, 'targetTransitions' | 'targetState' | 'waitDuration' | 'waitsInVain'> {
  return {
    targetTransitions: meter.createCounter(names.METRIC_TARGET_TRANSITIONS, {
      description: 'State changes of targets',
      unit: '{transition}',
    }),
    targetState: meter.createGauge(names.METRIC_TARGET_STATE, {
      description: 'State of targets: 0 up, 1 recovering, 2 down',
    }),
    waitDuration: meter.createHistogram(names.METRIC_WAIT_DURATION, {
      description: 'Waits for a target, with or without a following attempt',
      unit: 's',
    }),
    waitsInVain: meter.createCounter(names.METRIC_WAITS_IN_VAIN, {
      description: 'Calls that ended because they could not wait any longer for a target',
      unit: '{call}',
    }),
  }
}

/** A stored result, and the trace of the call that produced it. */
export interface Original {
  readonly text: string
  /** W3C `traceparent` of the call that did the work. */
  readonly origin: string | undefined
}

const TRACEPARENT_LENGTH = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'.length

/**
 * Prepends a line with the `traceparent` of the call to a result's text, so that a replay can link to that call
 * from any process. Unchanged if there is none.
 */
export function withOrigin(text: string, origin: string | undefined): string {
  return origin === undefined ? text : `${origin}\n${text}`
}

/** Reverses {@link withOrigin}. Results are JSON, which never starts like a `traceparent`. */
export function readOrigin(kept: string): Original {
  const origin = kept.slice(0, TRACEPARENT_LENGTH)
  if (kept[TRACEPARENT_LENGTH] !== '\n' || readTraceparent(origin) === undefined) {
    return { text: kept, origin: undefined }
  }
  return { text: kept.slice(TRACEPARENT_LENGTH + 1), origin }
}

export interface SpanEvent {
  readonly name: string
  readonly attributes: Attributes
}

/** The span event for an event of the call; undefined if the span shows it in another way. */
export function spanEvent(event: EngineEvent): SpanEvent | undefined {
  switch (event.type) {
    case 'retry-scheduled':
      return named(names.EVENT_RETRY_SCHEDULED, {
        [names.ATTEMPT_NUMBER]: event.number,
        [names.ERROR_TYPE]: event.kind,
        [names.DELAY_DURATION]: event.delayMs / 1_000,
        [names.DELAY_SOURCE]: event.delaySource,
      })
    case 'reask-sent':
      return named(names.EVENT_REASK_SENT, {
        [names.ATTEMPT_NUMBER]: event.number,
        [names.ERROR_TYPE]: event.kind,
        [names.REASK_ISSUE_COUNT]: event.traced.issueCount,
      })
    case 'fallback-selected':
      return named(names.EVENT_FALLBACK_SELECTED, {
        [names.ATTEMPT_NUMBER]: event.number,
        [names.FALLBACK_FROM]: event.traced.from,
        [names.FALLBACK_TO]: event.target,
        [names.ERROR_TYPE]: event.kind,
      })
    case 'target-changed':
      return named(names.EVENT_TARGET_CHANGED, {
        [names.TARGET]: event.target,
        [names.TARGET_FROM]: event.from,
        [names.TARGET_TO]: event.to,
      })
    case 'wait-started':
      return named(names.EVENT_WAIT, {
        [names.TARGET]: event.target,
        [names.WAIT_FOR]: event.for,
        [names.WAIT_EXPECTED]:
          event.expectedMs === undefined ? undefined : event.expectedMs / 1_000,
        [names.WAIT_AHEAD]: event.ahead,
      })
    case 'call-stopped':
      return named(names.EVENT_RETRY_STOPPED, {
        [names.STOP_REASON]: event.reason,
        [names.ERROR_TYPE]: event.kind,
        [names.WAIT_FOR]: event.traced.heldBy,
      })
    case 'retries-multiplied':
      return named(names.EVENT_RETRIES_MULTIPLIED, {
        [names.MULTIPLIED_BY]: 'below',
        [names.ATTEMPT_WIRE_REQUESTS]: event.wireRequests,
        [names.ATTEMPT_GATEWAY_ATTEMPTS]: event.gatewayAttempts,
      })
    case 'call-repeated':
      return named(names.EVENT_RETRIES_MULTIPLIED, { [names.MULTIPLIED_BY]: 'above' })
    case 'claim-awaited':
      return named(names.EVENT_CLAIM_AWAITED, { [names.LEASE_LEFT]: event.leaseLeftMs / 1_000 })
    case 'output-repaired':
      return named(names.EVENT_OUTPUT_REPAIRED, {
        [names.REPAIR_COUNT]: event.rules.length,
        [names.REPAIR_RULES]: [...new Set(event.rules)],
        [names.REPAIR_PLACES]: event.places === undefined ? undefined : [...event.places],
      })
    default:
      return undefined
  }
}

function named(name: string, attributes: Attributes): SpanEvent {
  return { name, attributes }
}
