import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { picture } from './plot.ts'
import { Pool } from './pool.ts'
import { scale } from './scale.ts'
import { lineScenarios, type Scenario, scenarioNamed, scenarios } from './scenarios.ts'
import { medians, table } from './summary.ts'

const USAGE = `npm run storm -- [options]
  --scenario ID   only this one; may be given more than once: ${ids(scenarios)}
                  or, of the candidate line: ${ids(lineScenarios)}
  --seeds N       runs of each, with the seeds 1 to N (20); the tables have their medians
  --scale         instead: 100,000 clients in one run
`

const command = readCommand()
if (typeof command === 'string') {
  process.stderr.write(`${command}\n\n${USAGE}`)
  process.exitCode = 2
} else if (command.help) process.stdout.write(USAGE)
else if (command.scale) process.stdout.write(await scale())
else await play(command.chosen, command.seeds)

/** What was asked for, or what is wrong with it. */
function readCommand() {
  try {
    const { values } = parseArgs({
      options: {
        scenario: { type: 'string', multiple: true },
        seeds: { type: 'string', default: '20' },
        scale: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    const seeds = Number(values.seeds)
    if (!Number.isInteger(seeds) || seeds < 1 || seeds > 1_000) {
      return `--seeds must be a whole number from 1 to 1000, got '${values.seeds}'`
    }
    return { ...values, seeds, chosen: values.scenario?.map(scenarioNamed) ?? scenarios }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function play(chosen: readonly Scenario[], seeds: number): Promise<void> {
  const pool = new Pool()
  const total = chosen.reduce((sum, { policies }) => sum + policies.length * seeds, 0)
  let done = 0
  const progress = (count: number) => {
    done += count
    if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${total} runs`)
  }
  // All are begun at once, so that no core waits for the last run of a scenario.
  const played = chosen.map((scenario) => ({
    scenario,
    rows: Promise.all(
      scenario.policies.map(async ({ name }) => {
        const results = await pool.playSeeds({ scenario: scenario.id, policy: name }, seeds)
        progress(results.length)
        return { name, runs: results }
      }),
    ),
  }))
  const directory = new URL('../../docs/storm/', import.meta.url)
  mkdirSync(directory, { recursive: true })
  const all: string[] = []
  for (const { scenario, rows: pending } of played) {
    const rows = await pending
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
    const numbers = rows.map(({ name, runs }) => [name, medians(runs)] as const)
    const text = `## ${scenario.id}: ${scenario.title}\n\n![${scenario.id}](${scenario.id}.svg)\n\n${table(numbers)}\n`
    process.stdout.write(`${text}\n`)
    all.push(text)
    // The docs have the plots of these.
    if (scenarios.includes(scenario)) {
      writeFileSync(new URL(`${scenario.id}.svg`, directory), picture(scenario, rows))
    }
  }
  // A part of them must not replace the whole.
  if (chosen === scenarios) writeFileSync(new URL('results.md', directory), page(all, seeds))
}

function page(parts: readonly string[], seeds: number): string {
  return `# Storms: all results

Written by \`npm run storm${seeds === 20 ? '' : ` -- --seeds ${seeds}`}\`: medians of ${seeds} seeds; the plots show the first. What the columns
and the scenarios are: [storms](../concepts/storms.md).

${parts.join('\n')}`
}

function ids(list: readonly Scenario[]): string {
  return list.map(({ id }) => id).join(' ')
}
