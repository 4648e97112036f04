import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as names from '../src/telemetry/attributes.ts'
import { type OtlpReceiver, type OtlpSpan, startOtlpReceiver } from './support/otlp-receiver.ts'
import { formatTrace } from './support/trace-text.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const PAGE = 'docs/guides/jaeger.md'
/** The incidents of the example, each with its number of requests. */
const INCIDENTS: readonly { readonly name: string; readonly calls: number }[] = [
  { name: 'rate-limit', calls: 1 },
  { name: 'outage', calls: 5 },
  { name: 'malformed-json', calls: 1 },
  { name: 'local-repair', calls: 1 },
  { name: 'replay', calls: 2 },
  { name: 'join', calls: 2 },
  { name: 'deadline', calls: 1 },
  { name: 'long-hint', calls: 1 },
  { name: 'hedge', calls: 1 },
  { name: 'cut-stream', calls: 1 },
  { name: 'two-layers', calls: 1 },
  { name: 'slow', calls: 1 },
]
const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.41.0'

let receiver: OtlpReceiver
let stdout = ''
let stderr = ''
let exitCode: unknown

/** The example runs once, for ten seconds, in a process of its own: all of what follows looks at its bytes. */
beforeAll(async () => {
  receiver = await startOtlpReceiver()
  const app = spawn(
    process.execPath,
    ['--conditions=steadycall:source', 'examples/jaeger/app.ts'],
    {
      cwd: root,
      env: {
        NO_COLOR: '1',
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${receiver.endpoint}/v1/metrics`,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  app.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  app.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [code] = await once(app, 'close')
  exitCode = code
})
afterAll(() => receiver.close())

/** The traces of one incident, in the order its requests came in. */
function tracesOf(incident: string): readonly (readonly OtlpSpan[])[] {
  const spans = receiver.spans()
  return spans
    .filter(({ attributes }) => attributes['demo.incident'] === incident)
    .sort((a, b) => Number(a.attributes['demo.request']) - Number(b.attributes['demo.request']))
    .map(({ traceId }) => spans.filter((span) => span.traceId === traceId))
}

const only = (spans: readonly OtlpSpan[] | undefined, start: string) =>
  (spans ?? []).filter(({ name }) => name.startsWith(start)).sort((a, b) => a.startMs - b.startMs)

describe('examples/jaeger, exporting over HTTP', () => {
  it('runs to its end, and says where to look', () => {
    expect(exitCode).toBe(0)
    // Somebody else's retries are warned of; nothing else is.
    expect(stderr).toMatch(/^\(node:\d+\) \[STEADYCALL_MULTIPLIED_RETRIES\][^\n]*\n\([^\n]*\)\n$/)
    const told = [...stdout.matchAll(/^\n?(\S+)\n {2}chat: /gm)].map(([, name]) => name)
    expect(told.sort()).toEqual(INCIDENTS.map(({ name }) => name).sort())
    const ids = [...stdout.matchAll(/16686\/trace\/([0-9a-f]{32})/g)].map(([, id]) => id)
    expect(new Set(ids)).toEqual(new Set(receiver.spans().map(({ traceId }) => traceId)))
  })

  it('exports each call as one client span below its request, and each attempt below its call', () => {
    for (const { name, calls } of INCIDENTS) {
      const traces = tracesOf(name)
      expect(traces).toHaveLength(calls)
      for (const spans of traces) {
        const [request, ...otherRequests] = only(spans, 'POST ')
        const [call, ...otherCalls] = only(spans, 'chat ')
        const attempts = only(spans, 'attempt ')
        expect([otherRequests, otherCalls]).toEqual([[], []])
        expect(spans).toHaveLength(2 + attempts.length)
        expect([request?.kind, call?.kind, request?.parentSpanId]).toEqual([2, 3, undefined])
        expect(call?.parentSpanId).toBe(request?.spanId)
        expect(call?.attributes['steadycall.attempt.count']).toBe(attempts.length)
        for (const attempt of attempts) {
          expect([attempt.kind, attempt.parentSpanId]).toEqual([3, call?.spanId])
          expect(Object.keys(attempt.attributes).filter((key) => key.startsWith('gen_ai'))).toEqual(
            [],
          )
          expect(attempt.startMs).toBeGreaterThanOrEqual((call?.startMs ?? 0) - 1)
          expect(attempt.endMs).toBeLessThanOrEqual((call?.endMs ?? 0) + 1)
        }
      }
    }
  })

  it('names scope, schema and service', () => {
    const ours = receiver.spans().filter(({ scope }) => scope === 'steadycall')
    expect(new Set(ours.map(({ schemaUrl }) => schemaUrl))).toEqual(new Set([SCHEMA_URL]))
    expect(new Set(ours.map(({ resource }) => resource['service.name']))).toEqual(
      new Set(['ticket-desk']),
    )
  })

  it.each([
    ['rate-limit', [['initial', 'rate_limit'], ['retry']], undefined],
    ['malformed-json', [['initial', 'malformed_output'], ['reask']], undefined],
    ['local-repair', [['initial']], undefined],
    [
      'deadline',
      [
        ['initial', 'timeout'],
        ['retry', 'deadline'],
      ],
      'deadline',
    ],
    ['long-hint', [['initial', 'rate_limit']], 'rate_limit'],
    ['cut-stream', [['initial', 'network']], 'network'],
    ['two-layers', [['initial']], undefined],
    ['hedge', [['initial'], ['hedge']], undefined],
    [
      'slow',
      [['initial', 'rate_limit'], ['retry', 'timeout'], ['retry', 'schema_mismatch'], ['reask']],
      undefined,
    ],
  ])('is red where it failed, and only there: %s', (incident, attempts, error) => {
    const [spans] = tracesOf(incident)
    const seen = only(spans, 'attempt ').map(({ attributes, status }) => ({
      cause: attributes['steadycall.attempt.cause'],
      error: attributes['error.type'],
      status: status.code ?? 0,
    }))
    expect(seen).toEqual(
      attempts.map(([cause, failure]) => ({ cause, error: failure, status: failure ? 2 : 0 })),
    )
    const [call] = only(spans, 'chat ')
    expect([call?.attributes['error.type'], call?.status.code ?? 0]).toEqual([error, error ? 2 : 0])
    expect(call?.status.message ?? '').toBe('')
  })

  it.each(['replay', 'join'])('links the second call to the first: %s', (incident) => {
    const [first, second] = tracesOf(incident)
    const [worker] = only(first, 'chat ')
    const [other] = only(second, 'chat ')
    expect(only(second, 'attempt ')).toEqual([])
    expect(other?.links).toEqual([
      {
        traceId: worker?.traceId,
        spanId: worker?.spanId,
        attributes: { 'steadycall.link.kind': incident === 'join' ? 'joined' : 'replayed' },
      },
    ])
  })

  it('shows an outage from its first failure to its end', () => {
    const seen = tracesOf('outage').map((spans) => [
      only(spans, 'attempt ').map(({ attributes }) => attributes['steadycall.attempt.cause']),
      only(spans, 'chat ').flatMap(({ events }) =>
        events.flatMap(({ attributes }) => attributes['steadycall.target.to'] ?? []),
      ),
    ])
    expect(seen).toEqual([
      [['initial', 'retry', 'fallback'], []],
      [['initial', 'retry', 'fallback'], []],
      [['initial', 'fallback'], ['down']],
      [['fallback'], []],
      [['initial'], ['up']],
    ])
  })

  it('exports every metric of steadycall, with its schema and attributes of few values', () => {
    const metrics = receiver.metrics()
    const expected = Object.entries(names)
      .filter(([key]) => key.startsWith('METRIC_'))
      .map(([, name]) => name)
      // Nobody waits in vain in this demo.
      .filter((name) => name !== names.METRIC_WAITS_IN_VAIN)
    expect([...metrics.keys()].sort()).toEqual(expected.sort())
    for (const { schemaUrl } of metrics.values()) expect(schemaUrl).toBe(SCHEMA_URL)
    const count = (name: string) =>
      metrics.get(name)?.points.reduce((sum, { value }) => sum + value, 0)
    expect(count(names.METRIC_OPERATION_DURATION)).toBe(18)
    expect(count(names.METRIC_CALL_ATTEMPTS)).toBe(18)
    expect(count(names.METRIC_ACTIVE_CALLS)).toBe(0)
    expect(count(names.METRIC_ATTEMPT_DURATION)).toBe(
      receiver.spans().filter(({ name }) => name.startsWith('attempt ')).length,
    )
    expect(count(names.METRIC_TARGET_TRANSITIONS)).toBe(2)
    expect(count(names.METRIC_MULTIPLIED_RETRIES)).toBe(1)
    expect(metrics.get(names.METRIC_OPERATION_DURATION)?.unit).toBe('s')
    const values = [...metrics.values()].flatMap(({ points }) =>
      points.flatMap(({ attributes }) => Object.values(attributes)),
    )
    expect(
      values.filter((value) => /ticket|chatcmpl|req_|Printer|[0-9a-f]{12}/.test(String(value))),
    ).toEqual([])
  })

  it('exports nothing of prompt, answer or key', () => {
    expect(receiver.bodies.join()).not.toMatch(/Printer|ticket-4711/)
  })
})

describe(PAGE, () => {
  it('has a section for each incident', () => {
    const sections = [...page().matchAll(/<!-- trace of examples\/jaeger: (\S+) -->/g)]
    expect([...new Set(sections.map(([, incident]) => incident))].sort()).toEqual(
      INCIDENTS.map(({ name }) => name).sort(),
    )
  })

  it.each(INCIDENTS.map(({ name }) => name))('shows the trace that is exported: %s', (incident) => {
    const exported = tracesOf(incident).map(formatTrace).join('\n\n')
    // Times differ from run to run; the story does not.
    if (process.env['UPDATE_DOCS']) update(incident, exported)
    const shown = blockOf(incident)
    expect(storyOf(shown)).toBe(storyOf(exported))
    // Each wait is as long as the page says, or longer: a busy machine takes its time.
    const [shownMs, exportedMs] = [timesOf(shown), timesOf(exported)]
    for (const [index, ms] of exportedMs.entries()) {
      expect(ms).toBeGreaterThan((shownMs[index] ?? Number.NaN) * 0.85 - 750)
    }
  })

  it.each(INCIDENTS.map(({ name }) => name))('finds it with the tags it gives: %s', (incident) => {
    const section = page().split(markOf(incident))[1]?.split('\n## ')[0] ?? ''
    const tags = section.split('**Find it**:')[1] ?? ''
    const queries = [...tags.matchAll(/`([^`]+=[^`]+)`/g)].map(([, query = '']) => query)
    expect(queries.length).toBeGreaterThan(0)
    const spans = tracesOf(incident).flat()
    for (const query of queries) {
      expect([query, spans.some((span) => matches(span, query))]).toEqual([query, true])
    }
  })
})

/**
 * Jaeger's search by tags, as its memory store does it: all of them on one span, on its resource, or
 * on one of its events, compared as text.
 */
function matches({ attributes, resource, events }: OtlpSpan, query: string): boolean {
  const sources = [attributes, resource, ...events.map((event) => event.attributes)]
  return query.split(' ').every((tag) => {
    const [name = '', ...value] = tag.split('=')
    return sources.some((source) => textOf(source[name]) === value.join('='))
  })
}

function textOf(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function page(): string {
  return readFileSync(`${root}${PAGE}`, 'utf8')
}

function markOf(incident: string): string {
  return `<!-- trace of examples/jaeger: ${incident} -->\n\`\`\`text\n`
}

function blockOf(incident: string): string {
  return page().split(markOf(incident))[1]?.split('\n```')[0] ?? ''
}

function update(incident: string, text: string): void {
  const [before, after = ''] = page().split(markOf(incident))
  const rest = after.slice(after.indexOf('\n```'))
  writeFileSync(`${root}${PAGE}`, `${before}${markOf(incident)}${text}${rest}`)
}

const TIME = /<?(\d+(?:\.\d+)?) (ms|s)\b/g

/** All but the times, and the widths that depend on them: the tree, and what each line says. */
function storyOf(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      // After the time, which takes six characters, the indentation is the place in the tree.
      const [, indent = '', rest = ''] = /^( *)(.*)$/.exec(line.slice(8)) ?? []
      const said = rest.replace(TIME, 'T').replace(/─+/g, '─').replace(/ +/g, ' ')
      return indent + said.replace(/(duration=)[\d.]+/g, '$1T')
    })
    .join('\n')
}

function timesOf(text: string): number[] {
  return [...text.matchAll(TIME)].map(
    ([, value, unit]) => Number(value) * (unit === 's' ? 1_000 : 1),
  )
}
