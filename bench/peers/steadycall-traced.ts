import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import type { Peer } from '../peer.ts'
import { peer as plain } from './steadycall.ts'

/** Every span is made, sampled and batched; what then becomes of it is the exporter's own cost. */
const DROP = {
  export: (_: unknown, done: (result: { code: number }) => void) => done({ code: 0 }),
  forceFlush: () => Promise.resolve(),
  shutdown: () => Promise.resolve(),
}

export const peer: Peer = {
  name: 'steadycall, traced',
  setUp:
    'the same under an OpenTelemetry SDK: every call sampled, spans batched, metrics read, both thrown away instead of exported.',
  packages: ['@opentelemetry/sdk-trace', '@opentelemetry/sdk-metrics'],
  create(options) {
    trace.setGlobalTracerProvider(
      new TracerProvider({ spanProcessors: [new BatchSpanProcessor({ exporter: DROP })] }),
    )
    metrics.setGlobalMeterProvider(
      new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter: DROP })] }),
    )
    context.setGlobalContextManager(new AsyncLocalStorageContextManager())
    return plain.create(options)
  },
}
