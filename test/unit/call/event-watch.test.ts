import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EventWatch } from '../../../src/stream/watch.ts'
import { fuzzRuns } from '../../support/fuzz-runs.ts'

const bytesOf = (text: string) => new TextEncoder().encode(text)

/** A watch that was given these bytes in pieces of these sizes. */
function watched(text: string, sizes: readonly number[]) {
  const watch = new EventWatch()
  const bytes = bytesOf(text)
  let at = 0
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1
    watch.see(bytes.subarray(at, at + size))
    at += size
  }
  return watch
}

describe('a watch over the bytes of a stream', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 })
  const parts = fc.array(
    fc.constantFrom(
      'data: [DONE]',
      'data:[DONE]',
      'data: [DONE',
      'data: {"a":"data: [DONE]"}',
      ': data: [DONE]',
      'DDDD',
      'data: ',
      '[DONE]',
      'é\u2028',
      '\n',
      '\r',
      '\r\n',
      '\n\n',
    ),
    { maxLength: 12 },
  )

  it('finds its end, its events and its text whatever the pieces', () => {
    fc.assert(
      fc.property(parts, sizes, (lines, cut) => {
        const text = lines.join('')
        const [whole, pieces] = [watched(text, [1_000]), watched(text, cut)]
        const isDone = text.split(/[\r\n]/).some((line) => /^data: ?\[DONE\]/.test(line))
        expect([whole.isDone, pieces.isDone]).toEqual([isDone, isDone])
        expect([pieces.text, pieces.events]).toEqual([whole.text, whole.events])
      }),
    )
  })

  it('finds its end behind more than it keeps, whatever the pieces', () => {
    const before = `${': a comment\n\n'.repeat(30_000)}`
    fc.assert(
      fc.property(parts, sizes, (lines, cut) => {
        const text = lines.join('')
        const watch = watched(before, [50_000])
        const rest = bytesOf(text)
        for (let at = 0, turn = 0; at < rest.length; turn += 1) {
          const size = cut[turn % cut.length] ?? 1
          watch.see(rest.subarray(at, at + size))
          at += size
        }
        const isDone = text.split(/[\r\n]/).some((line) => /^data: ?\[DONE\]/.test(line))
        expect([watch.isDone, watch.isCapped]).toEqual([isDone, true])
        expect(watch.text.length).toBeLessThan(320_000)
      }),
      { numRuns: fuzzRuns(20) },
    )
  })

  it('forgets what came before a chunk, but for the piece that it ended in', () => {
    const watch = new EventWatch()
    for (const piece of ['data: one\n\nda', 'ta: two\n\ndata: thr', 'ee\n\n'])
      watch.see(bytesOf(piece))
    expect(watch.events.map(({ data }) => data)).toEqual(['one', 'two', 'three'])
    watch.chunkSeen()
    expect([watch.text, watch.events]).toEqual(['\n', []])
    watch.see(bytesOf('event: error\ndata: four'))
    expect(watch.events).toEqual([{ name: 'error', data: 'four', isWhole: false }])
  })

  it('ends a stream of which more comes than any answer has between two chunks', () => {
    const watch = new EventWatch()
    const piece = new Uint8Array(1024 * 1024)
    for (let count = 0; count < 32; count += 1) watch.see(piece)
    expect(() => watch.see(piece)).toThrow('no event within 33554432 bytes')
    watch.chunkSeen()
    expect(() => watch.see(piece)).not.toThrow()
  })
})
