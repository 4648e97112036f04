import { describe, expect, it } from 'vitest'
import { openTerminal } from '../../../src/cli/command.ts'
import {
  type FinishedCall,
  formatCalls,
  formatComparison,
  formatTotals,
  formatUnexpected,
  totalsOf,
} from '../../../src/cli/render.ts'
import { formatMs, plainPaint } from '../../../src/report/timeline.ts'
import { attempt, report } from './reports.ts'

const clean: FinishedCall = {
  name: 'clean',
  expected: 'success',
  ending: 'valid',
  explanation: 'valid at once',
  report: report([attempt({ durationMs: 200 })]),
  repairs: [],
  valid: true,
  requests: 1,
  bare: {
    valid: true,
    requests: 1,
    durationMs: 200,
    inputTokens: 10,
    outputTokens: 5,
    explanation: 'valid',
  },
}
const refused: FinishedCall = {
  name: 'a spent quota',
  expected: 'quota_exhausted',
  ending: 'unrecoverable',
  explanation: 'unrecoverable: quota_exhausted — retrying cannot help',
  report: report([attempt({ outcome: 'quota_exhausted', durationMs: 1_000 })]),
  repairs: [],
  valid: false,
  requests: 1,
  bare: {
    valid: false,
    requests: 3,
    durationMs: 1_400,
    inputTokens: 0,
    outputTokens: 0,
    problem: { kind: 'http', status: 429 },
    explanation: '3 requests in 1.4 s, on a spent quota',
  },
}

describe('formatCalls', () => {
  it('puts the explanation beside the timeline where there is room', () => {
    expect(formatCalls([clean, refused], { columns: 104, paint: plainPaint }).split('\n')).toEqual([
      '                     0 ────────────── 1 s',
      '   1  clean          ━━━✓                  200 ms  valid at once',
      '   2  a spent quota  ━━━━━━━━━━━━━━━━━━━✗     1 s  unrecoverable: quota_exhausted — retrying cannot help',
      '',
      '  ━ request   ┄ wait   ✗ failed   ↻ re-asked   ⇢ fallback   ◆ no request   ✓ valid',
      '',
    ])
  })

  it('puts the explanation below the timeline on a narrow terminal', () => {
    const lines = formatCalls([refused], { columns: 60, paint: plainPaint }).split('\n')
    expect(lines.slice(0, 3)).toEqual([
      '                     0 ───────────────────────── 1 s',
      '   1  a spent quota  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━✗     1 s',
      '      unrecoverable: quota_exhausted — retrying cannot help',
    ])
  })

  it('wraps the legend', () => {
    const lines = formatCalls([clean], { columns: 80, paint: plainPaint }).split('\n')
    expect(lines.slice(-3)).toEqual([
      '  ━ request   ┄ wait   ✗ failed   ↻ re-asked   ⇢ fallback   ◆ no request',
      '  ✓ valid',
      '',
    ])
  })

  it.each([60, 80, 100, 120, 160])('writes no line longer than %i columns', (columns) => {
    const long = { ...refused, explanation: 'very '.repeat(60) }
    const drawn = formatCalls([clean, long], { columns, paint: plainPaint })
    const compared = formatComparison(
      [{ ...long, bare: { ...long.bare, ...badly('word '.repeat(60)) } }],
      { columns, paint: plainPaint },
    )
    const rows = [...drawn.split('\n'), ...compared.split('\n')]
    expect(rows.filter(({ length }) => length > columns)).toEqual([])
  })
})

describe('formatComparison', () => {
  it('has both clients of a call in one row, with their requests', () => {
    const drawn = formatComparison([clean, refused], { columns: 80, paint: plainPaint })
    expect(drawn.split('\n')).toEqual([
      '                 steady  bare',
      '  a spent quota  ✗ 1     ✗ 3   3 requests in 1.4 s, on a spent quota',
      '  clean          ✓ 1     ✓ 1   valid',
      '',
    ])
  })

  it('begins with the calls that only one client made valid, then those of other counts', () => {
    const saved = {
      ...clean,
      name: 'saved',
      requests: 2,
      bare: { ...clean.bare, ...badly('lost') },
    }
    const drawn = formatComparison([clean, refused, saved], { columns: 80, paint: plainPaint })
    const names = drawn.split('\n').map((line) => line.slice(2, 15).trim())
    expect(names).toEqual(['', 'saved', 'a spent quota', 'clean', ''])
  })
})

describe('formatTotals', () => {
  it('sets the sums of both clients side by side', () => {
    const repaired: FinishedCall = {
      ...clean,
      repairs: [{ path: '', rule: 'strip-fence' }],
    }
    const replayed: FinishedCall = {
      ...clean,
      requests: 0,
      report: report([], {
        source: 'store',
        usage: { inputTokens: 0, outputTokens: 0, complete: true },
      }),
    }
    const reasked: FinishedCall = {
      ...clean,
      requests: 2,
      report: report([attempt({ outcome: 'malformed_output' }), attempt({ cause: 'reask' })]),
    }
    const totals = totalsOf([clean, refused, repaired, replayed, reasked])
    expect(formatTotals(totals, { columns: 80, paint: plainPaint }).split('\n')).toEqual([
      '                          steadycall   bare client',
      '  valid answers               4 of 5        4 of 5',
      '  HTTP requests                    5             7',
      '  attempts                         5             -',
      '  repaired                         1             -',
      '  re-asked                         1             -',
      '  shared or replayed               1             -',
      '  tokens in, out              40, 20        40, 20',
      '',
      '  ✓ 4 of 5 calls valid; no retry can help the other 1, which failed at once',
      '',
    ])
  })

  it('says why the bare client sent fewer requests, where it did', () => {
    const saved = { ...clean, requests: 3, bare: { ...clean.bare, ...badly('lost') } }
    const drawn = formatTotals(totalsOf([clean, saved]), { columns: 80, paint: plainPaint })
    expect(drawn.split('\n')[9]).toBe(
      '  The bare client sent 2 fewer: it gave up 1 call that one more request saved.',
    )
  })

  it('leaves out the bare client where it was not asked', () => {
    const { bare: _bare, ...alone } = clean
    const drawn = formatTotals(totalsOf([alone]), { columns: 80, paint: plainPaint })
    expect(drawn.split('\n')[1]).toBe('  valid answers               1 of 1')
    expect(drawn).toContain('✓ 1 of 1 calls valid\n')
  })
})

describe('formatUnexpected', () => {
  it('names each call that did not end as it had to, and no other', () => {
    const results: FinishedCall[] = [
      clean,
      refused,
      { ...refused, expected: 'success' },
      { ...clean, name: 'half a stream', valid: false },
    ]
    expect(formatUnexpected(results, { columns: 80, paint: plainPaint })).toBe(
      '  unexpected: a spent quota ended as quota_exhausted, not as success\n' +
        '  unexpected: half a stream ended as an invalid value, not as success\n',
    )
  })
})

describe('formatMs', () => {
  it.each([
    [0.4, '<1 ms'],
    [0.5, '1 ms'],
    [999.4, '999 ms'],
    [999.5, '1 s'],
    [1_240, '1.2 s'],
    [99_949, '99.9 s'],
    [120_000, '120 s'],
  ])('writes %d ms as %s', (durationMs, expected) => {
    expect(formatMs(durationMs)).toBe(expected)
  })
})

describe('openTerminal', () => {
  const stream = (isTTY: boolean, columns?: number) => {
    const written: string[] = []
    const write = (text: string) => written.push(text)
    return { written, isTTY, write, ...(columns !== undefined && { columns }) }
  }

  it.each<[string, boolean, Record<string, string>, string]>([
    ['a terminal', true, {}, '\u001B[32mgood\u001B[39m'],
    ['a terminal under NO_COLOR', true, { NO_COLOR: '1' }, 'good'],
    ['a terminal with an empty NO_COLOR', true, { NO_COLOR: '' }, '\u001B[32mgood\u001B[39m'],
    ['a dumb terminal', true, { TERM: 'dumb' }, 'good'],
    ['a pipe', false, {}, 'good'],
  ])('colours rightly on %s', (_case, isTTY, env, expected) => {
    expect(openTerminal(stream(isTTY), env).paint('good', 'good')).toBe(expected)
  })

  it.each<[string, boolean, number | undefined, Record<string, string>, number]>([
    ["the terminal's width", true, 100, { COLUMNS: '90' }, 100],
    ['COLUMNS in a pipe', false, undefined, { COLUMNS: '90' }, 90],
    ['120 in a pipe without COLUMNS', false, undefined, {}, 120],
    ['120 for COLUMNS that is no number', false, undefined, { COLUMNS: 'wide' }, 120],
    ['at least 60', true, 20, {}, 60],
    ['at most 160', true, 300, {}, 160],
  ])('takes %s', (_case, isTTY, columns, env, expected) => {
    expect(openTerminal(stream(isTTY, columns), env).columns).toBe(expected)
  })

  it('takes a progress line away before the next text', () => {
    const output = stream(true)
    const terminal = openTerminal(output, {})
    terminal.progress('1 of 2')
    terminal.progress('2 of 2')
    terminal.write('done')
    terminal.write('!')
    expect(output.written).toEqual(['1 of 2', '\r\u001B[2K', '2 of 2', '\r\u001B[2K', 'done', '!'])
  })

  it('shows no progress where nobody watches', () => {
    const output = stream(false)
    openTerminal(output, {}).progress('1 of 2')
    expect(output.written).toEqual([])
  })
})

function badly(explanation: string) {
  return {
    valid: false,
    requests: 1,
    durationMs: 1,
    inputTokens: 0,
    outputTokens: 0,
    explanation,
  }
}
