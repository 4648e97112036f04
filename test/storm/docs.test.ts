import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { picture } from '../../bench/storm/plot.ts'
import { scenarioNamed } from '../../bench/storm/scenarios.ts'
import { scenarios } from '../../bench/storm/storm-scenarios.ts'
import { table } from '../../bench/storm/summary.ts'
import { cellsOf } from '../support/pages.ts'
import { mediansOf, PATIENCE, runsOf } from './medians-of.ts'

const read = (path: string) => readFileSync(new URL(`../../docs/${path}`, import.meta.url), 'utf8')
const results = read('storm/results.md')

describe('docs/storm', () => {
  it.each(scenarios)('$id has its table and its plot', ({ id, title, policies }) => {
    const rows = [...rowsOf(sectionOf(id)).keys()]
    expect(rows).toEqual(policies.map(({ name }) => name))
    expect(sectionOf(id)).toContain(title)
    expect(read(`storm/${id}.svg`).match(/<g transform/g)).toHaveLength(policies.length)
  })

  // Every policy where that takes little time, and the storms of the README; `npm run storm` writes
  // them all.
  it.each([
    ...scenarioNamed('L').policies.map(({ name }) => ['L', name] as const),
    ['B', 'openai'] as const,
    ['B', 'steadycall'] as const,
    ['G', 'steadycall'] as const,
  ])('%s, %s: is reproduced to the digit', PATIENCE, async (id, policy) => {
    const [, , row] = table([[policy, await mediansOf(id, policy)]]).split('\n')
    expect(sectionOf(id).split('\n')).toContain(row)
  })

  it('L has the plot that is drawn today', PATIENCE, async () => {
    const scenario = scenarioNamed('L')
    const rows = await Promise.all(
      scenario.policies.map(async ({ name }) => ({
        name,
        runs: await runsOf('L', name),
      })),
    )
    expect(picture(scenario, rows)).toBe(read('storm/L.svg'))
  })
})

describe('docs/concepts/storms.md', () => {
  const shown = [...read('concepts/storms.md').matchAll(/<!-- results: (\w+) -->\n((?:\|.*\n)+)/g)]

  it('shows some of the results', () => {
    expect(shown.length).toBeGreaterThan(2)
  })

  it.each(shown.map(([, id = '', rows = '']) => ({ id, rows })))(
    'shows of $id what is there',
    ({ id, rows }) => {
      const whole = rowsOf(sectionOf(id))
      for (const [policy, cells] of rowsOf(rows)) {
        expect(whole.get(policy), policy).toMatchObject(cells)
      }
    },
  )
})

function sectionOf(id: string): string {
  const [, section = ''] = results.split(`\n## ${id}: `)
  return section.split('\n## ')[0] ?? ''
}

/** The cells of each row by the titles of their columns. */
function rowsOf(text: string): Map<string, Record<string, string>> {
  const lines = text.split('\n').filter((line) => line.startsWith('|'))
  const [titles = [], , ...rows] = lines.map(cellsOf)
  return new Map(
    rows.map(([policy = '', ...cells]) => [
      policy,
      Object.fromEntries(cells.map((cell, index) => [titles[index + 1] ?? '', cell])),
    ]),
  )
}
