import { isDeepStrictEqual, parseArgs } from 'node:util'
import { table } from '../markdown.ts'
import { loadBuilds, THIS_BUILD } from './builds.ts'
import { type Case, readCaseFile, readCases, readFurtherCases } from './cases.ts'
import { GOALS } from './goals.ts'
import { peers, type Reader, readerOf } from './readers.ts'

/** What became of all cases under one reader. */
export interface Score {
  /** Of those that can be read: exactly the expected value, another one, none. */
  readonly exact: readonly Case[]
  readonly wrong: readonly Case[]
  readonly refused: readonly Case[]
  /** Of those that must be refused. */
  readonly rightlyRefused: readonly Case[]
  readonly wronglyAccepted: readonly Case[]
}

export function score(cases: readonly Case[], read: Reader): Score {
  const all = { exact: [], wrong: [], refused: [], rightlyRefused: [], wronglyAccepted: [] }
  const found: Record<keyof Score, Case[]> = all
  for (const one of cases) found[verdict(one, read)].push(one)
  return found
}

/** Of the cases that can be read, those that were read exactly. */
export function readShare({ exact, wrong, refused }: Score): number {
  return exact.length / (exact.length + wrong.length + refused.length)
}

function verdict(one: Case, read: Reader): keyof Score {
  const { expect } = one
  const result = read(one)
  if ('refused' in expect) return result === undefined ? 'rightlyRefused' : 'wronglyAccepted'
  if (result === undefined) return 'refused'
  return isDeepStrictEqual(plain(result.value), plain(expect.value)) ? 'exact' : 'wrong'
}

/** As JSON has it: without prototypes, and -0 as 0. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

function scoreTable(scores: Readonly<Record<string, Score>>): string {
  const rows = Object.entries(scores).map(([name, all]) => [
    name,
    `${all.exact.length} (${(100 * readShare(all)).toFixed(1)} %)`,
    all.wrong.length,
    all.refused.length,
    all.rightlyRefused.length,
    all.wronglyAccepted.length,
  ])
  return table(['', 'exact', 'wrong', 'refused', 'rightly refused', 'wrongly accepted'], rows)
}

function missed({ wrong, refused, wronglyAccepted }: Score): string {
  return Object.entries({ wrong, refused, wronglyAccepted })
    .flatMap(([what, list]) => list.map(({ name, why }) => `\n${what}: ${name}\n  ${why}\n`))
    .join('')
}

/** `npm run score:output [-- --cases FILE …] [--build CHECKOUT …]` */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', multiple: true, default: [] },
      build: { type: 'string', multiple: true, default: [] },
    },
  })
  const builds = Object.entries(await loadBuilds(values.build))
  const own = builds.map(([name, parseJson]) => [name, readerOf(parseJson)] as const)
  const readers = { ...peers, ...Object.fromEntries(own) }
  const sets = {
    'test/fixtures/outputs': readCases(),
    'test/fixtures/outputs-further': readFurtherCases(),
    ...Object.fromEntries(values.cases.map((file) => [file, readCaseFile(file)])),
  }
  for (const [name, cases] of Object.entries(sets)) {
    const scores = Object.fromEntries(
      Object.entries(readers).map(([title, read]) => [title, score(cases, read)]),
    )
    process.stdout.write(`## ${name}: ${cases.length} answers\n\n${scoreTable(scores)}`)
    const ours = scores[THIS_BUILD]
    if (ours !== undefined) process.stdout.write(`${missed(ours)}\n`)
  }
  const { wrong, wronglyAccepted, readShare: share } = GOALS.cases
  const percent = 100 * share
  process.stdout.write(
    `Goal: ${wrong} wrong, ${wronglyAccepted} wrongly accepted, ${percent} % of the readable.\n`,
  )
}

if (import.meta.main) await main()
