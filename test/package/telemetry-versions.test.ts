import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { overloaded, startFaultServer } from '../../src/testing/index.ts'
import { builtPackage } from '../support/built.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))

/** What an application may have installed; a newer API with an older SDK is refused by npm itself. */
const APPLICATIONS: readonly {
  readonly name: string
  readonly packages: readonly string[]
  readonly setUp: string
}[] = [
  {
    name: 'API 1.9.0 with SDK 2.12',
    packages: [
      '@opentelemetry/api@1.9.0',
      '@opentelemetry/sdk-trace-base@2.12.1',
      '@opentelemetry/sdk-metrics@2.12.1',
      '@opentelemetry/context-async-hooks@2.12.0',
    ],
    setUp: `
      import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
      export const exporter = new InMemorySpanExporter()
      export const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })`,
  },
  {
    name: 'API 1.10.0 with SDK 3.1',
    packages: [
      '@opentelemetry/api@1.10.0',
      '@opentelemetry/sdk-trace@3.1.1',
      '@opentelemetry/sdk-metrics@3.1.1',
      '@opentelemetry/context-async-hooks@3.1.1',
    ],
    setUp: `
      import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
      export const exporter = new InMemorySpanExporter()
      export const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })`,
  },
]

const WAITS = 'steadycall.wait.duration'

/** Makes three calls (one retried, one its replay, one that fails) and prints what was exported. */
const PROGRAM = `
import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import OpenAI from 'openai'
import { createRuntime, fixed, steady } from 'steadycall'
import { exporter, provider } from './set-up.mjs'

// Registered after the import and before the first call, as an application may do.
trace.setGlobalTracerProvider(provider)
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
const measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const meters = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter: measured })] })
metrics.setGlobalMeterProvider(meters)

const llm = steady(new OpenAI(), { runtime: createRuntime({ random: () => 0 }) })
const params = { model: 'm', messages: [{ role: 'user', content: 'hello' }] }
const keyed = { steady: { idempotencyKey: 'k' } }
await trace.getTracer('app').startActiveSpan('request', async (span) => {
  await llm.chat.completions.create(params, keyed)
  await llm.chat.completions.create(params, keyed)
  span.end()
})
const thrice = { steady: { maxAttempts: 3, backoff: fixed(1) } }
await llm.chat.completions.create({ ...params, model: 'bad' }, thrice).catch(() => {})
await meters.forceFlush()

const spans = exporter.getFinishedSpans()
const nameOf = (id) => spans.find((span) => span.spanContext().spanId === id)?.name
console.log(JSON.stringify({
  spans: spans.map((span) => [
    span.name,
    nameOf(span.parentSpanContext?.spanId) ?? null,
    span.kind,
    span.status.code,
    span.attributes['error.type'] ?? span.attributes['steadycall.outcome'] ?? null,
    span.links.map(({ context, attributes }) => [nameOf(context.spanId), attributes['steadycall.link.kind']]),
    span.instrumentationScope.schemaUrl ?? null,
  ]),
  metrics: measured.getMetrics().at(-1).scopeMetrics.flatMap(({ scope, metrics }) =>
    metrics.map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints.length, scope.schemaUrl])),
}))
await meters.shutdown()
`

const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.41.0'
const ours = [SCHEMA_URL]

describe.skipIf(!(await isRegistryThere()))('the packed package in an application with', () => {
  let home: string
  let tarball: string

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'steadycall-otel-'))
    tarball = await pack(join(home, 'package'))
  })
  afterAll(() => rm(home, { recursive: true, force: true }))

  it.concurrent.each(APPLICATIONS)(
    '$name exports the same tree and metrics',
    async ({ packages, setUp, name }) => {
      const app = join(home, name.replaceAll(/\W+/g, '-'))
      await mkdir(app)
      await writeFile(join(app, 'package.json'), '{ "type": "module", "private": true }')
      await npm(app, ['install', '--no-audit', '--no-fund', tarball, 'openai@7.57.0', ...packages])
      await writeFile(join(app, 'set-up.mjs'), setUp)
      await writeFile(join(app, 'program.mjs'), PROGRAM)
      const server = await startFaultServer({
        perCall: (call) =>
          call === 'bad' ? [overloaded(), overloaded(), overloaded()] : [overloaded()],
        callOf: ({ body }) => body.model,
      })
      const env = { ...process.env, OPENAI_API_KEY: 'k', OPENAI_BASE_URL: server.baseURL }
      const { stdout, stderr } = await run(process.execPath, ['program.mjs'], { cwd: app, env })
      await server.close()
      expect(stderr).toBe('')
      const exported = JSON.parse(stdout)
      expect(exported.spans).toEqual([
        ['attempt m', 'chat m', 2, 2, 'overloaded', [], ...ours],
        ['attempt m', 'chat m', 2, 0, 'success', [], ...ours],
        ['chat m', 'request', 2, 0, 'recovered', [], ...ours],
        ['chat m', 'request', 2, 0, 'success', [['chat m', 'replayed']], ...ours],
        ['request', null, 0, 0, null, [], null],
        ['attempt bad', 'chat bad', 2, 2, 'overloaded', [], ...ours],
        ['attempt bad', 'chat bad', 2, 2, 'overloaded', [], ...ours],
        ['attempt bad', 'chat bad', 2, 2, 'overloaded', [], ...ours],
        ['chat bad', null, 2, 2, 'overloaded', [], ...ours],
      ])
      const counted: [string, number, string][] = exported.metrics.sort()
      // A late timer is a wait of its own: their points are as many as the machine is busy.
      expect(counted.some(([metric]) => metric === WAITS)).toBe(true)
      expect(counted.filter(([metric]) => metric !== WAITS)).toEqual([
        ['gen_ai.client.operation.duration', 3, SCHEMA_URL],
        ['gen_ai.client.token.usage', 2, SCHEMA_URL],
        ['steadycall.active_calls', 2, SCHEMA_URL],
        ['steadycall.attempt.duration', 4, SCHEMA_URL],
        ['steadycall.call.attempts', 3, SCHEMA_URL],
        ['steadycall.idempotency.lookups', 2, SCHEMA_URL],
        ['steadycall.idempotency.saved_tokens', 2, SCHEMA_URL],
        ['steadycall.retries', 2, SCHEMA_URL],
        ['steadycall.retry.delay', 2, SCHEMA_URL],
      ])
    },
    180_000,
  )
})

/** The package as it would be published, as a file. */
async function pack(folder: string): Promise<string> {
  await mkdir(folder)
  await cp(join(await builtPackage(), 'dist'), join(folder, 'dist'), { recursive: true })
  // It is built already, and what it is developed with is not part of it.
  const { scripts, devDependencies, files, ...manifest } = JSON.parse(
    await readFile(join(root, 'package.json'), 'utf8'),
  )
  await writeFile(join(folder, 'package.json'), JSON.stringify({ ...manifest, files: ['dist'] }))
  const { stdout } = await npm(folder, ['pack', '--silent'])
  return join(folder, stdout.trim())
}

function npm(cwd: string, args: readonly string[]) {
  return run('npm', [...args], { cwd })
}

/** Without a registry these are skipped; in CI that is a failure, since what never runs proves nothing. */
async function isRegistryThere(): Promise<boolean> {
  try {
    await run('npm', ['view', '@opentelemetry/api@1.9.0', 'version', '--fetch-retries=0'])
    return true
  } catch (cause) {
    if (process.env['CI']) throw new Error('no npm registry', { cause })
    process.stderr.write('Skipped: versions of OpenTelemetry: no npm registry\n')
    return false
  }
}
