import {
  type Attributes,
  type Context,
  INVALID_SPANID,
  type Span,
  type SpanKind,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import * as names from './attributes.ts'

/**
 * Our tracer; asked for at every call, because the application may register its provider at any
 * time. Not `trace.getTracer()`: versions 1.9 and 1.10 of the API drop the schema URL there.
 */
export function currentTracer(): Tracer | undefined {
  return quietly(() =>
    trace
      .getTracerProvider()
      .getTracer(names.SCOPE_NAME, names.SCOPE_VERSION, { schemaUrl: names.SCHEMA_URL }),
  )
}

/**
 * Starts a span, or yields undefined where that fails. The parent is passed on explicitly, so that
 * attempts nest below their call without a context manager too.
 */
export function openSpan(
  tracer: Tracer | undefined,
  name: string,
  kind: SpanKind,
  attributes: Attributes,
  parent: Context,
): Span | undefined {
  return quietly(() => tracer?.startSpan(name, { kind, attributes }, parent))
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
  quietly(() => {
    if (span?.isRecording()) work(span)
  })
}

/** The result of `work`, or undefined when it throws: telemetry never changes a call's outcome. */
export function quietly<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}
