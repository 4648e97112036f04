// #region set-up
import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'

const resource = resourceFromAttributes({ 'service.name': 'ticket-desk' })

/** Exports traces to `tracesTo`. Returns a function that sends the rest; it rejects on failure. */
export function exportTraces(tracesTo: string): () => Promise<void> {
  const exporter = new OTLPTraceExporter({ url: `${tracesTo}/v1/traces` })
  const provider = new TracerProvider({
    resource,
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  })
  context.setGlobalContextManager(new AsyncLocalStorageContextManager())
  trace.setGlobalTracerProvider(provider)
  return () => provider.shutdown()
}
// #endregion

/** Exports metrics too: Jaeger takes none, a collector does. */
export function exportMetrics(metricsTo: string): () => Promise<void> {
  const exporter = new OTLPMetricExporter({ url: metricsTo })
  const provider = new MeterProvider({
    resource,
    readers: [new PeriodicExportingMetricReader({ exporter })],
  })
  metrics.setGlobalMeterProvider(provider)
  return () => provider.shutdown()
}
