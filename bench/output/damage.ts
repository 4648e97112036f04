import { parseArgs } from 'node:util'
import { FAULT_NAMES } from '../../test/support/damage/damaged-texts.ts'
import { type Outcomes, outcomesOf } from '../../test/support/damage/outcomes.ts'
import { table } from '../markdown.ts'
import { loadBuilds, type ParseJson } from './builds.ts'
import { type FaultName, GOALS } from './goals.ts'

type Row = FaultName | 'pair'
type ByRow = ReadonlyMap<Row, Outcomes>

const ROWS: readonly Row[] = [...FAULT_NAMES, 'pair']
const percent = (share: number) => `${(100 * share).toFixed(1)} %`
const readOf = ({ exact }: Outcomes, runs: number) => exact / runs

function sumOf(outcomes: ByRow, rows: readonly Row[]) {
  let [exact, altered] = [0, 0]
  for (const row of rows) {
    exact += outcomes.get(row)?.exact ?? 0
    altered += outcomes.get(row)?.altered.length ?? 0
  }
  return { exact, altered }
}

function rowOf(row: Row, builds: readonly ByRow[], runs: number): string[] {
  const goal = row === 'pair' ? '' : percent(GOALS.damage.readShareOf[row])
  return [
    row,
    goal,
    ...builds.flatMap((outcomes) => {
      const one = outcomes.get(row)
      if (one === undefined) return ['', '', '']
      const { exact, refused, altered } = one
      return [`${exact} (${percent(readOf(one, runs))})`, `${refused}`, `${altered.length}`]
    }),
  ]
}

function singlesRow(builds: readonly ByRow[], runs: number): string[] {
  const all = FAULT_NAMES.length * runs
  return [
    'single faults and styles',
    '',
    ...builds.flatMap((outcomes) => {
      const { exact, altered } = sumOf(outcomes, FAULT_NAMES)
      return [`${exact} (${percent(exact / all)})`, `${all - exact - altered}`, `${altered}`]
    }),
  ]
}

/** As if so many of all texts had two faults as the goal says. */
function allRow(builds: readonly ByRow[], runs: number): string[] {
  const { readShare, pairsInAll } = GOALS.damage
  return [
    `all, ${percent(pairsInAll)} of them pairs`,
    percent(readShare),
    ...builds.flatMap((outcomes) => {
      const singles = sumOf(outcomes, FAULT_NAMES).exact / (FAULT_NAMES.length * runs)
      const pairs = sumOf(outcomes, ['pair']).exact / runs
      return [percent((1 - pairsInAll) * singles + pairsInAll * pairs), '', '']
    }),
  ]
}

function print(outcomes: Readonly<Record<string, ByRow>>, runs: number, shown: number): void {
  const builds = Object.values(outcomes)
  const titles = Object.keys(outcomes).flatMap((name) => [`${name}: exact`, 'refused', 'altered'])
  const rows = [
    ...ROWS.map((row) => rowOf(row, builds, runs)),
    singlesRow(builds, runs),
    allRow(builds, runs),
  ]
  process.stdout.write(table(['', 'goal', ...titles], rows))
  const { alteredOfSingles, alteredOfPairs } = GOALS.damage
  process.stdout.write(
    `\nGoal: ${alteredOfSingles} altered of single faults, 1 in ${1 / alteredOfPairs} of pairs.\n`,
  )
  for (const [name, byRow] of Object.entries(outcomes)) {
    for (const [row, { altered }] of byRow) {
      for (const { text, original, value, schemaKind, faults } of altered.slice(0, shown)) {
        process.stdout.write(
          `\n${name}, ${row} (${faults.join(' + ')}; schema: ${schemaKind})\n${text}\n` +
            `  was  ${JSON.stringify(original)}\n  read ${JSON.stringify(value)}\n`,
        )
      }
    }
  }
}

function outcomesByRow(parseJson: ParseJson, runs: number, seed: number): ByRow {
  return new Map(ROWS.map((row) => [row, outcomesOf(parseJson, row, runs, seed)]))
}

/** `npm run score:damage [-- --runs N --seed N --show N --build CHECKOUT …]` */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '500' },
      seed: { type: 'string', default: '1' },
      show: { type: 'string', default: '0' },
      build: { type: 'string', multiple: true, default: [] },
    },
  })
  const [runs, seed, shown] = [Number(values.runs), Number(values.seed), Number(values.show)]
  const outcomes: Record<string, ByRow> = {}
  for (const [name, parseJson] of Object.entries(await loadBuilds(values.build))) {
    outcomes[name] = outcomesByRow(parseJson, runs, seed)
  }
  process.stdout.write(`${runs} texts of each, from seed ${seed}\n\n`)
  print(outcomes, runs, shown)
}

await main()
