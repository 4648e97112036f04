import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { EventOf } from '../../../src/call/events.ts'
import type { AttemptReport } from '../../../src/errors/call-error.ts'
import type { FailureKind } from '../../../src/errors/failure-kinds.ts'
import type { CallReport } from '../../../src/report/call-report.ts'
import type { CallInfo, CallSpan } from '../../../src/telemetry/telemetry.ts'

/** An application's OpenTelemetry set-up that exports into memory. */
export interface Recorder {
  spans(): readonly ReadableSpan[]
  /** The only span of this name. */
  span(name: string): ReadableSpan
  points(): Promise<readonly Point[]>
  /** All that was exported, as text. */
  exported(): Promise<string>
  stop(): Promise<void>
}

export interface Point {
  readonly name: string
  readonly unit: string
  /** Of a counter or gauge the value, of a histogram the sum. */
  readonly value: number
  readonly count?: number
  readonly boundaries?: readonly number[]
  readonly attributes: Readonly<Record<string, unknown>>
}

/** Registers the SDK globally; `stop` takes it away again. */
export function startRecording({ contextManager = true } = {}): Recorder {
  const spanExporter = new InMemorySpanExporter()
  const tracerProvider = new TracerProvider({
    spanProcessors: [new SimpleSpanProcessor({ exporter: spanExporter })],
  })
  trace.setGlobalTracerProvider(tracerProvider)
  if (contextManager) context.setGlobalContextManager(new AsyncLocalStorageContextManager())
  const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const meterProvider = new MeterProvider({
    readers: [new PeriodicExportingMetricReader({ exporter: metricExporter })],
  })
  metrics.setGlobalMeterProvider(meterProvider)

  const spans = () => spanExporter.getFinishedSpans()
  const resourceMetrics = async () => {
    await meterProvider.forceFlush()
    return metricExporter.getMetrics().slice(-1)
  }
  return {
    spans,
    span(name) {
      const [found, ...others] = spans().filter((span) => span.name === name)
      if (found === undefined || others.length > 0) throw new Error(`not one span ${name}`)
      return found
    },
    async points() {
      const [latest] = await resourceMetrics()
      return (latest?.scopeMetrics ?? [])
        .flatMap(({ metrics: measured }) => measured)
        .flatMap(toPoints)
    },
    async exported() {
      const seen = spans().map(
        ({ name, attributes, events, links, status, instrumentationScope }) => ({
          name,
          attributes,
          events,
          links,
          status,
          instrumentationScope,
        }),
      )
      return JSON.stringify([seen, await resourceMetrics()])
    },
    async stop() {
      trace.disable()
      context.disable()
      metrics.disable()
      await Promise.all([tracerProvider.shutdown(), meterProvider.shutdown()])
    },
  }
}

type Metric = Parameters<
  InMemoryMetricExporter['export']
>[0]['scopeMetrics'][number]['metrics'][number]

function toPoints(metric: Metric): Point[] {
  const { name, unit } = metric.descriptor
  if (metric.dataPointType === DataPointType.SUM || metric.dataPointType === DataPointType.GAUGE) {
    return metric.dataPoints.map(({ value, attributes }) => ({ name, unit, value, attributes }))
  }
  if (metric.dataPointType !== DataPointType.HISTOGRAM)
    throw new Error(`unexpected kind of ${name}`)
  return metric.dataPoints.map(({ value, attributes }) => ({
    name,
    unit,
    value: value.sum ?? 0,
    count: value.count,
    boundaries: value.buckets.boundaries,
    attributes,
  }))
}

const KEY_HASH = '0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'

/** A chat call to gpt-4.1-mini with a key. */
export function chat(changes: Partial<CallInfo> = {}): CallInfo {
  return {
    operation: 'chat',
    name: 'gpt-4.1-mini',
    host: 'api.openai.com',
    port: 443,
    key: { hash: KEY_HASH },
    deadlineMs: 60_000,
    clock: { monotonicMs: () => 0 },
    ...changes,
  }
}

/** The report of a first attempt that succeeded after 120 ms. */
export function report(changes: Partial<AttemptReport> = {}): AttemptReport {
  return {
    number: 1,
    cause: 'initial',
    target: 'api.openai.com gpt-4.1-mini',
    outcome: 'success',
    retryable: false,
    executed: 'yes',
    status: 200,
    startedAtMs: 1_800_000_000_000,
    durationMs: 120,
    delayMs: 0,
    ...changes,
  }
}

/** How a call ended, by what a test says of it. */
export type Outcome = { readonly repairs?: number } & Partial<
  Pick<CallReport, 'attempts' | 'persisted' | 'reason' | 'replayedUsage' | 'source' | 'usage'>
> &
  EventOf<'call-settled'>['traced'] &
  ({ readonly ok: true } | { readonly ok: false; readonly kind: FailureKind })

/** Tells a call that it has ended. */
export function settle(call: CallSpan, outcome: Outcome): void {
  const { response, answer, firstChunkMs, repairs = 0, ...said } = outcome
  const settled: CallReport = {
    operation: 'chat',
    outcome: said.ok ? 'success' : said.kind,
    attempts: said.attempts ?? [],
    idempotencyKey: 'key',
    source: said.source ?? 'provider',
    persisted: said.persisted ?? true,
    usage: said.usage ?? { inputTokens: 0, outputTokens: 0, complete: true },
    durationMs: 0,
    ...(said.reason !== undefined && { reason: said.reason }),
    ...(said.replayedUsage !== undefined && { replayedUsage: said.replayedUsage }),
    ...(repairs > 0 && {
      repairs: Array.from({ length: repairs }, () => ({ rule: 'strip-fence' as const, path: '/' })),
    }),
  }
  const traced = { response, answer, firstChunkMs }
  call.read({ type: 'call-settled', report: settled, traced })
}
