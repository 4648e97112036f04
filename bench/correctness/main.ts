import { table } from '../markdown.ts'
import { loadPeers, type Peer } from '../peer.ts'
import { median } from '../statistics.ts'
import { MALFORMED_ANSWERS } from './answers.ts'
import { FAULT_SCRIPTS, type FaultScript } from './fault-scripts.ts'
import { type CaseResult, tryCases } from './try-case.ts'

/**
 * What clients do about faults: each script once, over real HTTP, then good answers. Prints its section of the
 * results.
 */
// Some clients leave a rejection behind that nobody can catch; the table shows how their call ended.
process.on('unhandledRejection', () => {})

type Cell = CaseResult | undefined

async function faults(peers: readonly Peer[]): Promise<string> {
  const pairs = peers.flatMap((peer) =>
    FAULT_SCRIPTS.filter((script) => can(peer, script.kind)).map((script) => ({ peer, script })),
  )
  const results = await tryCases(
    pairs.map(({ peer, script: { kind = 'plain', fault } }) => ({ peer, kind, fault })),
  )
  const found = new Map(pairs.map(({ peer, script }, at) => [peer.name + script.name, results[at]]))
  const cell = (peer: Peer, { name }: FaultScript): Cell => found.get(peer.name + name)
  const summary = table(
    [
      '',
      'recovered',
      'wrong answer returned',
      'stopped at once',
      'wrong retries',
      'hints kept',
      'requests',
      'median ms to recover',
    ],
    peers.map((peer) => summaryRow(peer, (script) => cell(peer, script))),
  )
  const details = table(
    ['', ...peers.map(({ name }) => name)],
    FAULT_SCRIPTS.map((script) => [
      script.name,
      ...peers.map((peer) => verdict(script, cell(peer, script))),
    ]),
  )
  return `${summary}\n${LEGEND}\n\n${details}`
}

const LEGEND = `Every script and client: ✓ as it should be, with the requests that were sent and, where waiting was right,
the time it took; ✗ not. Of the scripts from 'quota spent' on, none can be mended by asking again: the one right number
of requests is 1.`

function can({ name }: Peer, kind: FaultScript['kind'] = 'plain'): boolean {
  if (name.includes('instructor')) return kind === 'structured'
  return kind !== 'stream' || name !== 'fetch'
}

const isStopped = ({ outcome, requests }: CaseResult) => outcome === 'error' && requests === 1

/** A hint is kept when nobody asks again before its time, whatever then becomes of the call. */
function keepsHint({ hintMs = 0 }: FaultScript, { gapMs }: CaseResult): boolean {
  return gapMs === undefined || gapMs >= hintMs
}

function isRight(script: FaultScript, result: CaseResult): boolean {
  if (script.expected === 'stop') return isStopped(result)
  return result.outcome === 'right' && keepsHint(script, result)
}

function verdict(script: FaultScript, result: Cell): string {
  if (result === undefined) return ''
  const { outcome, requests, ms, gapMs } = result
  const sent = `${requests} · ${(ms / 1_000).toFixed(1)} s`
  if (isRight(script, result)) return script.expected === 'stop' ? '✓ 1' : `✓ ${sent}`
  if (outcome === 'wrong') return `✗ wrong answer, ${sent}`
  if (outcome === 'waiting') return `✗ still waiting, ${sent}`
  if (!keepsHint(script, result)) return `✗ after ${((gapMs ?? 0) / 1_000).toFixed(1)} s, ${sent}`
  return outcome === 'error' ? `✗ error, ${sent}` : `✗ asked again, ${sent}`
}

function summaryRow(peer: Peer, cell: (script: FaultScript) => Cell) {
  const all = FAULT_SCRIPTS.flatMap((script) => {
    const result = cell(script)
    return result === undefined ? [] : [{ script, result }]
  })
  const passing = all.filter(({ script }) => script.expected === 'recover')
  const lasting = all.filter(({ script }) => script.expected === 'stop')
  const hinted = all.filter(({ script }) => script.hintMs !== undefined)
  const recovered = passing.filter(({ result }) => result.outcome === 'right')
  const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0)
  const of = (part: number, whole: readonly unknown[]) =>
    whole.length === 0 ? '' : `${part} of ${whole.length}`
  return [
    peer.name,
    of(recovered.length, passing),
    all.filter(({ result }) => result.outcome === 'wrong').length,
    of(lasting.filter(({ result }) => isStopped(result)).length, lasting),
    sum(lasting.map(({ result }) => result.requests - 1)),
    // Who never asks again keeps no hint; he has none to break.
    of(hinted.filter(({ script, result }) => keepsHint(script, result)).length, hinted),
    sum(all.map(({ result }) => result.requests)),
    recovered.length === 0 ? '' : median(recovered.map(({ result }) => result.ms)).toFixed(0),
  ]
}

async function malformed(peers: readonly Peer[]): Promise<string> {
  const pairs = peers.flatMap((peer) => MALFORMED_ANSWERS.map((answer) => ({ peer, answer })))
  const results = await tryCases(
    pairs.map(({ peer, answer: { fault, value } }) => ({
      peer,
      kind: 'structured' as const,
      fault,
      value,
    })),
  )
  const cells = pairs.map(({ peer, answer }, at) => ({ peer, answer, result: results[at] }))
  const readable = MALFORMED_ANSWERS.filter((answer) => answer.readable).length
  const summary = table(
    [
      '',
      `read without another call, of ${readable}`,
      'right after another call',
      'wrong value',
      'error',
      'extra calls',
    ],
    peers.map((peer) => {
      const own = cells.filter((one) => one.peer === peer)
      const count = (test: (result: CaseResult) => boolean) =>
        own.filter(({ result }) => result !== undefined && test(result)).length
      return [
        peer.name,
        count(({ outcome, requests }) => outcome === 'right' && requests === 1),
        count(({ outcome, requests }) => outcome === 'right' && requests > 1),
        count(({ outcome }) => outcome === 'wrong'),
        count(({ outcome }) => outcome === 'error' || outcome === 'waiting'),
        own.reduce((total, { result }) => total + (result?.requests ?? 1) - 1, 0),
      ]
    }),
  )
  const details = table(
    ['', ...peers.map(({ name }) => name)],
    MALFORMED_ANSWERS.map((answer) => [
      answer.readable ? answer.name : `*${answer.name}*`,
      ...peers.map((peer) =>
        shown(cells.find((one) => one.peer === peer && one.answer === answer)?.result),
      ),
    ]),
  )
  return `${summary}\nIn italics: what cannot be read with certainty, so that another call is right, and a value a guess.\n\n${details}`
}

function shown(result: Cell): string {
  if (result === undefined) return ''
  const { outcome, requests } = result
  const word = { right: '✓', wrong: '✗ wrong value', error: '✗ error', waiting: '✗ waiting' }[
    outcome
  ]
  return requests === 1 ? word : `${word}, ${requests} calls`
}

const callers = await loadPeers()
const readers = await loadPeers([
  'fetch',
  'openai-default',
  'openai-p-retry',
  'openai-cockatiel',
  'openai-jsonrepair',
  'ai',
  'langchain',
  'instructor',
  'steadycall',
])
process.stdout.write(`**${FAULT_SCRIPTS.length} faults**, each met by the first request of a call over real HTTP; every later request is answered well.
One client per call, a timeout of 1.5 s per request, at most 15 s of patience; set up as in 'Overhead'.

${await faults(callers)}
**${MALFORMED_ANSWERS.length} malformed answers**, each the first answer to a structured call; the second is a good one.

${await malformed(readers)}`)
process.exit()
