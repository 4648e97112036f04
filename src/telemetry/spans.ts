import {
  type Attributes,
  type Context,
  context,
  INVALID_SPANID,
  isSpanContextValid,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanKind,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import * as names from './attributes.ts'

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
