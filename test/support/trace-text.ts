import { formatMs } from '../../src/report/timeline.ts'
import type { OtlpSpan } from './otlp-receiver.ts'

const NAME_WIDTH = 36
const BAR_WIDTH = 24

/**
 * A trace as text, as Jaeger draws it: when each span began, its place in the tree, how long it took,
 * and what its attributes and events say. `─` is when it ran, within the whole trace.
 */
export function formatTrace(spans: readonly OtlpSpan[]): string {
  const root = spans.find(({ parentSpanId }) => parentSpanId === undefined)
  if (root === undefined) throw new Error('a trace without a root')
  return rowsOf(root, 0, spans, root).join('\n')
}

function rowsOf(
  span: OtlpSpan,
  depth: number,
  spans: readonly OtlpSpan[],
  root: OtlpSpan,
): readonly string[] {
  const children = spans
    .filter(({ parentSpanId }) => parentSpanId === span.spanId)
    .sort((one, other) => one.startMs - other.startMs)
  const places = placesOf(span, children)
  const eventsAt = (place: number) =>
    span.events
      .filter((_, index) => places[index] === place)
      .map(({ name, atMs, attributes }) =>
        row(atMs - root.startMs, depth + 1, `· ${name.replace('steadycall.', '')}`, {
          tail: saysEvent(attributes),
        }),
      )
  const own = row(span.startMs - root.startMs, depth, span.name, {
    durationMs: span.endMs - span.startMs,
    bar: barOf(span, root),
    tail: says(span),
  })
  const below = children.flatMap((child, index) => [
    ...rowsOf(child, depth + 1, spans, root),
    ...eventsAt(index + 1),
  ])
  return [own, ...eventsAt(0), ...below]
}

// Times of spans and events are a millisecond apart at times, in the wrong direction.
const TOLERANCE_MS = 2

/**
 * After how many children each event happened. What an event says of the attempt it follows, and
 * the order of the events, is surer than their times.
 */
function placesOf({ events }: OtlpSpan, children: readonly OtlpSpan[]): readonly number[] {
  const told = events.map(({ attributes }) => attributes['steadycall.attempt.number'])
  let least = 0
  return events.map(({ atMs, attributes }, index) => {
    const next = told.slice(index).find((number) => typeof number === 'number')
    const most = typeof next === 'number' ? next : children.length
    const begun = children.filter(({ startMs }) => startMs < atMs + TOLERANCE_MS).length
    // The probe that saw it comes at once.
    const isProbe = attributes['steadycall.breaker.to'] === 'half-open'
    least = isProbe ? least : Math.min(Math.max(begun, least), most)
    if (typeof told[index] === 'number') least = most
    return least
  })
}

function row(
  atMs: number,
  depth: number,
  name: string,
  rest: { readonly durationMs?: number; readonly bar?: string; readonly tail: string },
): string {
  const { durationMs, bar = '', tail } = rest
  const took = durationMs === undefined ? '' : formatMs(durationMs)
  const place = `${'  '.repeat(depth)}${name}`.padEnd(NAME_WIDTH)
  const at = formatMs(Math.max(atMs, 0)).padStart(6)
  return `${at}  ${place} ${took.padStart(6)}  ${bar.padEnd(BAR_WIDTH)}  ${tail}`.trimEnd()
}

function barOf({ startMs, endMs }: OtlpSpan, root: OtlpSpan): string {
  const wholeMs = Math.max(root.endMs - root.startMs, 1)
  const cell = (ms: number) => Math.round(((ms - root.startMs) / wholeMs) * BAR_WIDTH)
  const from = Math.min(Math.max(cell(startMs), 0), BAR_WIDTH - 1)
  return ' '.repeat(from) + '─'.repeat(Math.min(Math.max(cell(endMs) - from, 1), BAR_WIDTH - from))
}

/** The attributes that tell the story, and whether Jaeger shows the span in red. */
function says({ attributes, status, links }: OtlpSpan): string {
  const of = (name: string) => attributes[`steadycall.${name}`]
  const asked = of('attempt.retry_after')
  const wire = of('attempt.wire_requests')
  return [
    status.code === 2 ? '(!)' : undefined,
    of('attempt.cause'),
    attributes['error.type'] ?? of('outcome'),
    attributes['http.response.status_code'],
    of('attempt.probe') === true ? 'probe' : undefined,
    asked === undefined ? undefined : `asks for ${asked} s`,
    typeof wire === 'number' && wire > 1 ? `wire_requests=${wire}` : undefined,
    of('stop_reason') === undefined ? undefined : `stop_reason=${of('stop_reason')}`,
    of('source') === 'provider' ? undefined : of('source'),
    ...links.map((link) => `→ ${link.attributes['steadycall.link.kind']}`),
  ]
    .filter((part) => part !== undefined)
    .join(' ')
}

function saysEvent(attributes: OtlpSpan['attributes']): string {
  const hidden = ['steadycall.attempt.number', 'steadycall.idempotency.key_hash']
  return Object.entries(attributes)
    .filter(([name]) => !hidden.includes(name))
    .map(([name, value]) => {
      const shown = typeof value === 'number' ? Math.round(value * 1_000) / 1_000 : value
      return `${name.replace('steadycall.', '')}=${shown}`
    })
    .join(' ')
}
