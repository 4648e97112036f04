import { goalTable } from '../../bench/storm/goal-table.ts'
import { pool } from './medians-of.ts'

/** The rows of a scenario in the table of the goals, with one seed. */
export async function goalsOf(scenario: string): Promise<string[]> {
  const rows: string[] = []
  await goalTable(pool, [1], [scenario], (line) => {
    if (line.startsWith(`| ${scenario} |`) && !line.includes('3 attempts')) rows.push(line)
  })
  return rows
}
