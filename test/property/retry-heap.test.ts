import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Heap } from '../../src/retry/health/waiting.ts'

interface Item {
  readonly key: number
  hasLeft: boolean
}

const rising = (a: Item, b: Item) => a.key < b.key
const falling = (a: Item, b: Item) => a.key > b.key

/** A heap, and beside it a list of what is in it. */
class Both {
  readonly heap = new Heap<Item>(rising)
  isBefore = rising
  there: Item[] = []

  add(key: number): void {
    const item = { key, hasLeft: false }
    this.heap.add(item)
    this.there.push(item)
  }

  leave(which: number): void {
    const item = this.there[which % Math.max(this.there.length, 1)]
    if (item === undefined) return
    item.hasLeft = true
    this.heap.dropped()
    this.there = this.there.filter((other) => other !== item)
  }

  take(): void {
    const first = this.heap.first()
    if (first === undefined) return
    this.heap.takeFirst()
    this.there = this.there.filter((other) => other !== first)
  }

  sort(isRising: boolean): void {
    this.isBefore = isRising ? rising : falling
    this.heap.sort(this.isBefore)
  }

  get isRight(): boolean {
    const first = this.heap.first()
    if (first === undefined) return this.there.length === 0
    return this.there.includes(first) && !this.there.some((other) => this.isBefore(other, first))
  }
}

const step: fc.Arbitrary<(both: Both) => void> = fc.oneof(
  { weight: 5, arbitrary: fc.nat(50).map((key) => (both: Both) => both.add(key)) },
  { weight: 4, arbitrary: fc.nat().map((which) => (both: Both) => both.leave(which)) },
  { weight: 3, arbitrary: fc.constant((both: Both) => both.take()) },
  { weight: 1, arbitrary: fc.boolean().map((isRising) => (both: Both) => both.sort(isRising)) },
)

describe('a heap of waiting calls', () => {
  it('has the first of those that are there in front, whatever was added, taken, left or sorted', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const both = new Both()
        for (const take of steps) {
          take(both)
          expect(both.isRight).toBe(true)
        }
      }),
    )
  })
})
