import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { callReport, formatReport } from '../../../src/index.ts'
import { answers, rateLimited } from '../../../src/testing/index.ts'
import { ask, person, setUp } from '../../support/set-up.ts'
import { attempt, report } from '../cli/reports.ts'

const target = 'api.openai.com gpt-5-mini'
const limited = attempt({
  target,
  outcome: 'rate_limit',
  status: 429,
  code: 'rate_limit_exceeded',
  requestId: 'req_7',
  durationMs: 60,
  retryAfterMs: 3_000,
})

describe('formatReport', () => {
  it('tells what each attempt waited for and met', () => {
    const attempts = [
      limited,
      attempt({
        number: 2,
        target,
        cause: 'retry',
        delayMs: 3_800,
        delaySource: 'hint',
        outcome: 'schema_mismatch',
        status: 200,
        durationMs: 1_200,
      }),
      attempt({ number: 3, target, cause: 'reask', status: 200, durationMs: 940 }),
    ]
    expect(formatReport(report(attempts), { width: 30 }).split('\n')).toEqual([
      'chat: success after 3 attempts, 6 s',
      '✗┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄━━━━━✗↻━━━✓',
      '1  initial  api.openai.com gpt-5-mini  rate_limit 429 rate_limit_exceeded in 60 ms, it asks for 3 s, req_7',
      '2  retry    api.openai.com gpt-5-mini  waited 3.8 s (hint), schema_mismatch 200 in 1.2 s',
      '3  reask    api.openai.com gpt-5-mini  success 200 in 940 ms',
    ])
  })

  it('tells why a call was given up', () => {
    const given = { reason: 'hint_exceeds_deadline', durationMs: 61 } as const
    expect(formatReport(report([limited], given)).split('\n')[0]).toBe(
      'chat: rate_limit (past the deadline) after 1 attempt, 61 ms',
    )
  })

  it('tells of a wait that was in vain', () => {
    const waits = [
      { for: 'down', ms: 4_000 },
      { for: 'limit', ms: 3_000 },
    ] as const
    const given = { reason: 'max_wait', durationMs: 7_060, waits } as const
    expect(formatReport(report([limited], given), { width: 20 }).split('\n')).toEqual([
      'chat: rate_limit (maxWaitMs is used up) after 1 attempt, 7.1 s',
      '✗┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄✗',
      '1  initial  api.openai.com gpt-5-mini  rate_limit 429 rate_limit_exceeded in 60 ms, it asks for 3 s, req_7',
      '-  in vain  waited 7 s (down 4 s, limit 3 s)',
    ])
    const unsent = { ...given, outcome: 'overloaded', waits: [{ for: 'down', ms: 90 }] } as const
    expect(formatReport(report([], unsent), { width: 10 }).split('\n').slice(1)).toEqual([
      '◆┄┄┄┄┄┄┄┄✗',
      '-  in vain  waited 90 ms (down)',
    ])
  })

  it.each([
    ['store', 'chat: success, replayed from the store, 2 ms'],
    ['shared', 'chat: success, shared with a call in flight, 2 ms'],
  ] as const)('tells that the work was done elsewhere: %s', (source, expected) => {
    const lines = formatReport(report([], { source, durationMs: 2 })).split('\n')
    expect(lines).toEqual([expected, '◆✓'])
  })

  it('shows the requests that somebody else multiplied', () => {
    const text = formatReport(report([attempt({ wireRequests: 3 })]))
    expect(text).toContain('success in <1 ms, 3 requests on the wire')
  })

  it('tells of a real call, with the rules of its repairs and without its key', async () => {
    const { llm } = await setUp({
      perCall: [rateLimited({ retryAfterMs: 10 }), answers('{"name":"Ada","age":"36"}')],
    })
    const options = { idempotencyKey: 'order-4711' }
    const result = await llm.json({ ...ask('who?'), schema: person }, options)
    const told = callReport(result)
    if (told === undefined) throw new Error('no report')
    const text = formatReport(told)
    expect(text).toMatch(/^chat: success after 2 attempts, \d+ ms\n.*✗.*✓\n1 {2}initial /)
    expect(text).toMatch(/\nrepaired: number-from-string at \/age$/)
    expect(text).not.toContain('4711')
  })

  it('has colours where they are asked for, and else no escape, whatever a provider says', () => {
    expect(formatReport(report([limited]), { colour: true })).toContain(
      '\u001B[31mrate_limit 429 rate_limit_exceeded\u001B[39m in 60 ms',
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (said) => {
        const hostile = { ...limited, target: said, code: said, requestId: said }
        const lines = formatReport(report([hostile], { operation: said })).split('\n')
        expect(lines).toHaveLength(3)
        expect(lines.filter((line) => /\p{C}/u.test(line))).toEqual([])
      }),
    )
  })

  it.each([9, 10.5, 501, Number.NaN])('refuses a width of %s', (width) => {
    expect(() => formatReport(report([]), { width })).toThrow(
      `formatReport(): width must be an integer from 10 to 500, got ${width}`,
    )
  })

  it('refuses what is no report', () => {
    // Wrong on purpose: what a caller without types passes.
    expect(() => formatReport(undefined as never)).toThrow(/must be a CallReport/)
  })
})
