import { describe, expect, it } from 'vitest'
import { goalsOf } from './goals-of.ts'
import { PATIENCE } from './medians-of.ts'

/** Those that take little time; `npm run storm -- --goals` plays all of them. */
const SCENARIOS = [
  'pool3',
  'pool30',
  'open3',
  'open8',
  'open30',
  'lone3',
  'lone8',
  'lone30',
  'x2-503-10',
  'x2-quick-10',
  'x2-quick-60',
  'x2-slots-10',
  'x2-true-10',
  'x2-short-10',
  'x2-long-10',
  'x2-queue-10',
  'batch10-500',
  'batch20-500',
  'batch20-503',
  'hidden-bucket',
  'hidden-window',
  'two-slots',
  'load80',
  'load95',
  'users-and-batch',
  'killed',
  'mixed',
  'half',
]

describe('the line meets its goals in', () => {
  it.each(SCENARIOS)('%s', PATIENCE, async (id) => {
    const rows = await goalsOf(id)
    expect(rows.length).toBeGreaterThan(0)
    expect(rows.filter((text) => text.includes('missed'))).toEqual([])
  })
})
