import { describe, expect, it } from 'vitest'
import { measure } from './measure.ts'

describe('the shape of src/', () => {
  // `npm run shape` prints the table.
  it.each(measure())('keeps below its ceiling: $what', ({ value, ceiling }) => {
    expect(value).toBeLessThanOrEqual(ceiling)
  })
})
