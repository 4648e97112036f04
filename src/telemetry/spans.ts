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
 * Our tracer for a call below `parent`; asked for at every call, because the application may register
 * its provider at any time. Undefined where nobody would record a span, and none is around to pass
 * on. Not `trace.getTracer()`: versions 1.9 and 1.10 of the API drop the schema URL there.
 */
export function currentTracer(parent: Context): Tracer | undefined {
  return quietly(() => {
    const provider = trace.getTracerProvider()
    // The API's stand-in until an SDK is registered.
    return parent === ROOT_CONTEXT && provider instanceof ProxyTracerProvider
      ? provider.getDelegateTracer(names.SCOPE_NAME, names.SCOPE_VERSION, SCOPE_OPTIONS)
      : provider.getTracer(names.SCOPE_NAME, names.SCOPE_VERSION, SCOPE_OPTIONS)
  })
}

const SCOPE_OPTIONS = { schemaUrl: names.SCHEMA_URL }

/**
 * Starts a span, or yields undefined where that fails. The parent is passed on explicitly, so that
 * attempts nest below their call without a context manager too.
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
 * What a new call hangs below: the caller's active span; or, where the application has no context
 * manager that could know it, the attempt it is made in.
 */
export function parentOf(around: Context | undefined): Context {
  const active = quietly(() => context.active()) ?? ROOT_CONTEXT
  if (around === undefined || active !== ROOT_CONTEXT) return active
  // With a manager, nothing active was somebody's decision.
  const isManaged = quietly(() => context.with(around, () => context.active() === around))
  return isManaged === true ? active : around
}

/** The context with the span in it; unchanged where there is no span, or no SDK to make one. */
export function withSpan(parent: Context, span: Span | undefined): Context {
  if (span === undefined) return parent
  return quietly(() => (isNoop(span) ? parent : trace.setSpan(parent, span))) ?? parent
}

// Without an SDK every span has the invalid id, which would say nothing to those below it.
function isNoop(span: Span): boolean {
  return span.spanContext().spanId === INVALID_SPANID
}

/** Runs `work` on a span that somebody records; on any other it costs next to nothing. */
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

/** The span's context as a W3C `traceparent` header; undefined where no SDK made one. */
export function traceparentOf(span: Span | undefined): string | undefined {
  if (span === undefined) return undefined
  return quietly(() => {
    const found = span.spanContext()
    if (!isSpanContextValid(found)) return undefined
    const flags = (found.traceFlags & 0xff).toString(16).padStart(2, '0')
    return `00-${found.traceId}-${found.spanId}-${flags}`
  })
}

/** The context that a `traceparent` names. Undefined for what is none: it may come from a store. */
export function readTraceparent(text: string): SpanContext | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(text) ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  const found = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
  return isSpanContextValid(found) ? found : undefined
}

// https://www.w3.org/TR/trace-context/#traceparent-header, version 00
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** The result of `work`, or undefined when it throws: telemetry never changes a call's outcome. */
export function quietly<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}
