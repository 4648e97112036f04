import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { colourPaint, formatTimeline } from '../../../src/report/timeline.ts'
import { attempt, report } from '../cli/reports.ts'

const failed = (durationMs: number) => attempt({ outcome: 'overloaded', durationMs })
const retried = (delayMs: number, durationMs: number) =>
  attempt({ cause: 'retry', delayMs, durationMs })

describe('formatTimeline', () => {
  it.each([
    ['one short attempt', [attempt()], '✓         '],
    ['one attempt of the whole scale', [attempt({ durationMs: 1_000 })], '━━━━━━━━━✓'],
    ['an attempt of half the scale', [attempt({ durationMs: 500 })], '━━━━✓     '],
    ['a failure alone', [failed(0)], '✗         '],
    ['a wait between two attempts', [failed(200), retried(500, 300)], '━✗┄┄┄┄┄━━✓'],
    ['a wait too short for the scale', [failed(0), retried(1, 0)], '✗┄✓       '],
    ['a re-ask', [failed(0), attempt({ cause: 'reask', durationMs: 400 })], '✗↻━✓      '],
    ['a fallback', [failed(0), attempt({ cause: 'fallback' })], '✗⇢✓       '],
    ['a wait before the first attempt', [attempt({ delayMs: 300 })], '┄┄┄✓      '],
    ['no attempt at all', [], '◆✓        '],
  ])('draws %s to scale', (_case, attempts, expected) => {
    expect(formatTimeline(report(attempts), { width: 10, scaleMs: 1_000 })).toBe(expected)
  })

  it('fills the width with the call itself when no scale is given', () => {
    expect(formatTimeline(report([failed(0), retried(90, 10)]), { width: 12 })).toBe('✗┄┄┄┄┄┄┄┄┄┄✓')
  })

  it('ends with the outcome of the call, which for a broken stream is not that of its attempt', () => {
    const broken = report([attempt({ durationMs: 1_000 })], { outcome: 'network' })
    expect(formatTimeline(broken, { width: 4, scaleMs: 1_000 })).toBe('━━━✗')
  })

  it('takes cells from the longest wait rather than lose a mark', () => {
    const crowded = report([failed(0), retried(1, 0), retried(1, 0), retried(996, 0)])
    expect(formatTimeline(crowded, { width: 8, scaleMs: 1_000 })).toBe('✗┄✓┄✓┄┄✓')
  })

  it('exceeds a width that cannot hold the marks', () => {
    expect(formatTimeline(report([failed(0), retried(9, 0)]), { width: 1 })).toBe('✗┄✓')
  })

  it('paints failures red and the valid end green', () => {
    const drawn = formatTimeline(report([failed(0), attempt({ cause: 'reask' })]), {
      width: 3,
      paint: colourPaint,
    })
    expect(drawn).toBe('\u001B[31m✗\u001B[39m\u001B[36m↻\u001B[39m\u001B[32m✓\u001B[39m')
  })

  it('has one end mark per attempt and never another width, however times fall', () => {
    const anyAttempt = fc.record({
      delayMs: fc.nat(100_000),
      durationMs: fc.nat(100_000),
      cause: fc.constantFrom('retry' as const, 'reask' as const, 'fallback' as const),
      outcome: fc.constantFrom('success' as const, 'timeout' as const),
    })
    const attempts = fc.array(anyAttempt, { minLength: 1, maxLength: 10 })
    fc.assert(
      fc.property(attempts, fc.integer({ min: 30, max: 90 }), (given, width) => {
        const drawn = formatTimeline(report(given.map((one) => attempt(one))), { width })
        expect(drawn).toHaveLength(width)
        expect(drawn.match(/[✓✗]/g)).toHaveLength(given.length)
      }),
    )
  })
})
