import { afterEach, describe, expect, it, vi } from 'vitest'
import { httpError } from '../../src/testing/index.ts'
import { rejection } from '../support/set-up.ts'
import { secretive, stage } from './line-stage.ts'

const asksFor = (seconds: number) => secretive(429, { 'retry-after': String(seconds) })
const atOnce = { steady: { maxWaitMs: 0 } }

/** The messages of the warnings about long hints. */
function watchWarnings(): () => readonly unknown[] {
  const emitted = vi.spyOn(process, 'emitWarning').mockReturnValue()
  return () =>
    emitted.mock.calls
      .filter(([, details]) => Reflect.get(Object(details), 'code') === 'STEADYCALL_LONG_HINT')
      .map(([message]) => message)
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe('a hint of more than ten minutes', () => {
  it('is warned about, with its target, its length and the way out', async () => {
    const warned = watchWarnings()
    const at = await stage({ script: [asksFor(5_400)] })
    await rejection(at.create('told', atOnce))
    expect(warned()).toEqual([
      '127.0.0.1 gpt-test asks for 90 minutes without requests: until then its calls wait, or fail where they may not wait as long. If that is wrong, llm.reopen("127.0.0.1 gpt-test") opens its line.',
    ])
    expect(at.llm.reopen('127.0.0.1 gpt-test')).toBe(true)
    await at.create('and on')
  })

  it('is warned about once for each target of a runtime', async () => {
    const warned = watchWarnings()
    const at = await stage({ script: [asksFor(700), asksFor(900)] })
    for (const turn of ['first', 'second']) {
      await rejection(at.create(turn, atOnce))
      at.llm.reopen('127.0.0.1 gpt-test')
    }
    expect(at.server.count).toBe(2)
    expect(warned()).toHaveLength(1)
    const other = await stage({ script: [asksFor(700)] })
    await rejection(other.create('of another runtime', atOnce))
    expect(warned()).toHaveLength(2)
  })

  it.each([
    ['ends sooner', asksFor(600)],
    [
      'closes no line',
      httpError(
        429,
        { error: { message: 'You exceeded your current quota', code: 'insufficient_quota' } },
        { 'retry-after': '5400' },
      ),
    ],
  ])('is not warned about where it %s', async (_, fault) => {
    const warned = watchWarnings()
    const at = await stage({ script: [fault] })
    await rejection(at.create('told', atOnce))
    expect(warned()).toEqual([])
  })
})
