import { table } from '../markdown.ts'

/** A figure of steadycall's that is to be no more than a limit. */
export interface Goal {
  readonly what: string
  readonly limit: number
  readonly measured: number
  readonly unit: '×' | 'µs' | 'ms'
}

/** Each goal, what was measured, and by how much it was missed. */
export function goalsTable(goals: readonly Goal[]): string {
  return table(
    ['', 'goal', 'measured', ''],
    goals.map(({ what, limit, measured, unit }) => {
      const digits = unit === '×' ? 2 : 0
      const over = measured - limit
      const verdict = over <= 0 ? 'met' : `missed by ${over.toFixed(digits)} ${unit}`
      return [what, `${limit} ${unit}`, `${measured.toFixed(digits)} ${unit}`, verdict]
    }),
  )
}
