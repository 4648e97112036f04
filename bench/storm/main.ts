import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { goalTable } from './goal-table.ts'
import { lineScenarios } from './line-scenarios.ts'
import { picture } from './plot.ts'
import { LAST_SEED, Pool, seedsFrom } from './pool.ts'
import { scale } from './scale.ts'
import type { Scenario } from './scenario.ts'
import { scenarioNamed } from './scenarios.ts'
import { scenarios } from './storm-scenarios.ts'
import { medians, table } from './summary.ts'

const USAGE = `npm run storm -- [options]
  --goals         instead: what the line has to reach, scenario by scenario, ours beside the others
  --scenario ID   only this one; may be given more than once: ${ids(scenarios)}
                  or, with the goals: ${ids(lineScenarios)}
  --seeds N       runs of each, with the seeds 1 to N (${LAST_SEED}); the tables have their medians
  --seeds N-M     the same with the seeds N to M
  --scale         instead: 100,000 clients in one run
`

const DIRECTORY = new URL('../../docs/storm/', import.meta.url)

const command = readCommand()
if (typeof command === 'string') {
  process.stderr.write(`${command}\n\n${USAGE}`)
  process.exitCode = 2
} else if (command.help) process.stdout.write(USAGE)
else if (command.scale) process.stdout.write(await scale())
else if (command.goals) await judge(command.scenario, command.seeds)
else await play(command.chosen, command.seeds)

/** What was asked for, or what is wrong with it. */
function readCommand() {
  try {
    const { values } = parseArgs({
      options: {
        scenario: { type: 'string', multiple: true },
        seeds: { type: 'string', default: String(LAST_SEED) },
        goals: { type: 'boolean', default: false },
        scale: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    const seeds = readSeeds(values.seeds)
    if (seeds === undefined) {
      return `--seeds must be a whole number from 1 to 1000, or two of them like 100-119, got '${values.seeds}'`
    }
    return { ...values, seeds, chosen: values.scenario?.map(scenarioNamed) ?? scenarios }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function readSeeds(given: string): readonly number[] | undefined {
  const [, from, until] = /^(?:(\d+)-)?(\d+)$/.exec(given) ?? []
  const [first, last] = [Number(from ?? 1), Number(until)]
  return first >= 1 && first <= last && last <= 1_000 ? seedsFrom(first, last) : undefined
}

async function judge(chosen: readonly string[] | undefined, seeds: readonly number[]) {
  const lines: string[] = []
  await goalTable(new Pool(), seeds, chosen, (line) => {
    process.stdout.write(`${line}\n`)
    lines.push(line)
  })
  if (chosen !== undefined) return
  writeFileSync(new URL('goals.md', DIRECTORY), goalPage(lines.join('\n'), seeds))
}

async function play(chosen: readonly Scenario[], seeds: readonly number[]): Promise<void> {
  const pool = new Pool()
  const total = chosen.reduce((sum, { policies }) => sum + policies.length, 0)
  let done = 0
  // All are begun at once, so that no core waits for the last run of a scenario.
  const played = chosen.map((scenario) => ({
    scenario,
    rows: Promise.all(
      scenario.policies.map(async ({ name }) => {
        const results = await pool.playSeeds({ scenario: scenario.id, policy: name }, seeds)
        done += 1
        progress(done, total)
        return { name, runs: results }
      }),
    ),
  }))
  mkdirSync(DIRECTORY, { recursive: true })
  const all: string[] = []
  for (const { scenario, rows: pending } of played) {
    const rows = await pending
    const numbers = rows.map(({ name, runs }) => [name, medians(runs)] as const)
    const text = `## ${scenario.id}: ${scenario.title}\n\n![${scenario.id}](${scenario.id}.svg)\n\n${table(numbers)}\n`
    process.stdout.write(`${text}\n`)
    all.push(text)
    // The docs have the plots of these.
    if (scenarios.includes(scenario)) {
      writeFileSync(new URL(`${scenario.id}.svg`, DIRECTORY), picture(scenario, rows))
    }
  }
  // A part of them must not replace the whole.
  if (chosen === scenarios) writeFileSync(new URL('results.md', DIRECTORY), page(all, seeds))
}

function page(parts: readonly string[], seeds: readonly number[]): string {
  return `# Storms: all results

Written by \`npm run storm${option(seeds)}\`: ${named(seeds)}; the plots show the first. What the columns
and the scenarios are: [storms](../concepts/storms.md).

${parts.join('\n')}`
}

function goalPage(text: string, seeds: readonly number[]): string {
  const titles = lineScenarios.map(({ id, title }) => `- \`${id}\`: ${title}`)
  return `# Storms: what the line has to reach

Written by \`npm run storm -- --goals${option(seeds).replace(' --', '')}\`: ${named(seeds)}. In the last column is what was
measured, and in brackets what was wanted. What the columns are: [storms](../concepts/storms.md).

${text}

## The scenarios

A to R are those of [all results](results.md).

${titles.join('\n')}
`
}

function named(seeds: readonly number[]): string {
  const [first, last] = [seeds[0], seeds.at(-1)]
  return first === last ? `seed ${first}` : `medians of the seeds ${first} to ${last}`
}

/** As it has to be given for these. */
function option(seeds: readonly number[]): string {
  const [first, last] = [seeds[0], seeds.at(-1)]
  if (first !== 1) return ` -- --seeds ${first}-${last}`
  return last === LAST_SEED ? '' : ` -- --seeds ${last}`
}

function progress(done: number, total: number): void {
  if (process.stderr.isTTY)
    process.stderr.write(`\r${done} of ${total}\x1b[K${done === total ? '\n' : ''}`)
}

function ids(list: readonly Scenario[]): string {
  return list.map(({ id }) => id).join(' ')
}
