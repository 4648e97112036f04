import { SpanKind, trace } from '@opentelemetry/api'
import { type CallReport, formatReport } from 'steadycall'
import { startFaultServer } from 'steadycall/testing'
import { callId, happen, INCIDENTS, type Incident } from './incidents.ts'
import { exportMetrics, exportTraces } from './telemetry.ts'

const { env } = process
const tracesTo = env['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? 'http://localhost:4318'
const metricsTo = env['OTEL_EXPORTER_OTLP_METRICS_ENDPOINT']
const ui = env['JAEGER_UI'] ?? 'http://localhost:16686'

const stops = [exportTraces(tracesTo), ...(metricsTo ? [exportMetrics(metricsTo)] : [])]
const faults = new Map(
  INCIDENTS.flatMap((incident) =>
    incident.faults.map((met, number) => [callId(incident, number), met] as const),
  ),
)
const server = await startFaultServer({ perCall: (id) => faults.get(id) ?? [] })
const tracer = trace.getTracer('ticket-desk')

/** One incoming request for each call, so that each is a trace of its own. */
async function show(incident: Incident): Promise<void> {
  const ids: string[] = []
  const reports = await happen(incident, server.baseURL, (number, call) => {
    const attributes = { 'demo.incident': incident.name, 'demo.request': number + 1 }
    const options = { kind: SpanKind.SERVER, attributes }
    return tracer.startActiveSpan('POST /tickets', options, async (span) => {
      ids[number] = span.spanContext().traceId
      try {
        return await call()
      } finally {
        span.end()
      }
    })
  })
  print(incident, reports, ids)
}

function print({ name }: Incident, reports: readonly CallReport[], ids: readonly string[]): void {
  const shown = reports.map(
    (report, number) => `${formatReport(report)}\n${ui}/trace/${ids[number]}`,
  )
  console.log(`\n${name}\n${shown.join('\n').replace(/^/gm, '  ')}`)
}

await Promise.all(INCIDENTS.map(show))
await server.close()
try {
  await Promise.all(stops.map((stop) => stop()))
} catch {
  console.error(
    `\nThe traces could not be sent to ${tracesTo}. Is Jaeger running? See docs/guides/jaeger.md.`,
  )
  process.exitCode = 1
}
