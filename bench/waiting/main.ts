import { createTargetState } from '../../src/retry/health/target-state.ts'
import type { PermitRequest, TicketOrRefusal } from '../../src/retry/health/waiting.ts'
import { virtualClock } from '../../src/testing/index.ts'
import { Closing } from '../../src/time.ts'
import { table } from '../markdown.ts'

/**
 * What a waiting call costs its line in memory, beside a promise that nobody settles. Prints its section
 * of the results.
 */
const WAITING = 100_000
const LIMIT_BYTES = 2_048

const signals = Array.from({ length: WAITING }, () => new AbortController().signal)

const closing = new Closing()

const rows = [
  ['a pending promise', await bytesEach(() => new Promise(() => {}))],
  ['a call in the line', await bytesEach(inLine(() => [undefined, undefined]))],
  [
    'with a signal of its own, of a client that can be closed',
    await bytesEach(inLine((call) => [signals[call], closing])),
  ],
] as const

const most = Math.max(...rows.map(([, bytes]) => bytes))

const verdict = most <= LIMIT_BYTES ? 'met' : `missed by ${Math.round(most - LIMIT_BYTES)}`

process.stdout.write(`${WAITING.toLocaleString('en-US')} calls in the line of one target that has asked to be left alone: bytes of the
JavaScript heap for each, of the line alone: what the call holds itself is in *Overhead*. The goal is
${LIMIT_BYTES.toLocaleString('en-US')}: ${verdict}.

${table(
  ['', 'bytes per call'],
  rows.map(([what, bytes]) => [what, Math.round(bytes).toLocaleString('en-US')]),
)}`)

/** Enters a line that a hint has closed. */
function inLine(
  how: (call: number) => readonly [AbortSignal | undefined, Closing | undefined],
): (call: number) => Promise<TicketOrRefusal> {
  const { line } = createTargetState({ clock: virtualClock(), random: () => 0.5 })
  const ticket = line.enter(requestOf(line.arrive()))
  const sentAtMs = 0
  line.ended({ ticket, sentAtMs, sign: 'limited', hintMs: 60_000, paid: false })
  line.left()
  return (call) => line.wait(requestOf(line.arrive()), ...how(call))
}

function requestOf(order: number): PermitRequest {
  return {
    order,
    requests: 0,
    notBeforeMs: 0,
    latestMs: 90_000,
    paying: false,
    nested: false,
    impatient: false,
    bulk: false,
    tokens: 0,
  }
}

async function bytesEach(start: (call: number) => Promise<unknown>): Promise<number> {
  const held: Promise<unknown>[] = new Array(WAITING).fill(undefined)
  const before = await heapUsed()
  for (let call = 0; call < WAITING; call += 1) held[call] = start(call)
  const during = await heapUsed()
  // Held on to until here.
  return (during - before) / held.length
}

async function heapUsed(): Promise<number> {
  if (globalThis.gc === undefined) throw new Error('start it with --expose-gc')
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return process.memoryUsage().heapUsed
}
