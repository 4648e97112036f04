import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { onTestFinished } from 'vitest'

/** What an OpenTelemetry collector would have got: OTLP/JSON over real HTTP, on a free port. */
export interface OtlpReceiver {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  readonly endpoint: string
  /** Each body as it came. */
  readonly bodies: readonly string[]
  /** All spans, in the order they ended. */
  spans(): readonly OtlpSpan[]
  /** The data points of each metric as last exported. */
  metrics(): ReadonlyMap<string, OtlpMetric>
  close(): Promise<void>
}

/** A span as the bytes have it, its attributes read into an object. */
export interface OtlpSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number
  readonly startMs: number
  readonly endMs: number
  /** 0 unset, 2 error. */
  readonly status: { readonly code?: number; readonly message?: string }
  readonly attributes: Attributes
  readonly events: readonly {
    readonly name: string
    readonly atMs: number
    readonly attributes: Attributes
  }[]
  readonly links: readonly {
    readonly traceId: string
    readonly spanId: string
    readonly attributes: Attributes
  }[]
  readonly scope: string
  readonly schemaUrl: string
  readonly resource: Attributes
}

export interface OtlpMetric {
  readonly unit: string
  readonly schemaUrl: string
  readonly points: readonly {
    readonly attributes: Attributes
    /** Of a histogram the number of its values, else the value. */
    readonly value: number
    /** Of a histogram. */
    readonly sum?: number
  }[]
}

type Attributes = Readonly<Record<string, unknown>>

/** Starts a receiver that lives as long as the test, or until it is closed. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const bodies: { readonly path: string; readonly text: string }[] = []
  const server = createServer(async (incoming, response) => {
    bodies.push({ path: incoming.url ?? '', text: await textOf(incoming) })
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const bodiesOf = (path: string): readonly Json[] =>
    bodies.filter((body) => body.path === path).map(({ text }) => JSON.parse(text))
  return {
    endpoint: `http://127.0.0.1:${port}`,
    get bodies() {
      return bodies.map(({ text }) => text)
    },
    spans: () => bodiesOf('/v1/traces').flatMap(readSpans),
    metrics: () => new Map(bodiesOf('/v1/metrics').flatMap(readMetrics)),
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** The same, closed at the end of the test. */
export async function otlpReceiver(): Promise<OtlpReceiver> {
  const receiver = await startOtlpReceiver()
  onTestFinished(() => receiver.close())
  return receiver
}

/** OTLP/JSON as far as it is read here; the exporter's own types say no more. */
// biome-ignore lint/suspicious/noExplicitAny: what a stranger's bytes hold is asserted, not typed
type Json = any

function readSpans(body: Json): OtlpSpan[] {
  return body.resourceSpans.flatMap(({ resource, scopeSpans }: Json) =>
    scopeSpans.flatMap(({ scope, schemaUrl = '', spans }: Json) =>
      spans.map((span: Json) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        ...(span.parentSpanId && { parentSpanId: span.parentSpanId }),
        name: span.name,
        kind: span.kind,
        startMs: milliseconds(span.startTimeUnixNano),
        endMs: milliseconds(span.endTimeUnixNano),
        status: span.status ?? {},
        attributes: readAttributes(span.attributes),
        events: (span.events ?? []).map((event: Json) => ({
          name: event.name,
          atMs: milliseconds(event.timeUnixNano),
          attributes: readAttributes(event.attributes),
        })),
        links: (span.links ?? []).map((link: Json) => ({
          traceId: link.traceId,
          spanId: link.spanId,
          attributes: readAttributes(link.attributes),
        })),
        scope: scope.name,
        schemaUrl,
        resource: readAttributes(resource.attributes),
      })),
    ),
  )
}

function readMetrics(body: Json): [string, OtlpMetric][] {
  return body.resourceMetrics.flatMap(({ scopeMetrics }: Json) =>
    scopeMetrics.flatMap(({ schemaUrl = '', metrics }: Json) =>
      metrics.map(({ name, unit = '', histogram, sum, gauge }: Json) => [
        name,
        { unit, schemaUrl, points: (histogram ?? sum ?? gauge).dataPoints.map(readPoint) },
      ]),
    ),
  )
}

function readPoint({ attributes, count, sum, asInt, asDouble }: Json) {
  const read = readAttributes(attributes)
  return count === undefined
    ? { attributes: read, value: Number(asInt ?? asDouble) }
    : { attributes: read, value: Number(count), sum: Number(sum) }
}

function readAttributes(list: Json = []): Attributes {
  return Object.fromEntries(list.map(({ key, value }: Json) => [key, readValue(value)]))
}

function readValue(value: Json): unknown {
  const { stringValue, intValue, doubleValue, boolValue, arrayValue } = value
  if (arrayValue !== undefined) return (arrayValue.values ?? []).map(readValue)
  if (intValue !== undefined) return Number(intValue)
  return stringValue ?? doubleValue ?? boolValue
}

function milliseconds(unixNano: string): number {
  return Number(BigInt(unixNano) / 1_000n) / 1_000
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of incoming) pieces.push(piece)
  return Buffer.concat(pieces).toString('utf8')
}
