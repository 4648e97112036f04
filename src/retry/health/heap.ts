/** An item of a heap. */
export interface Leaving {
  /** Whether it is no longer wanted; the heap then drops it. */
  readonly hasLeft: boolean
}

/**
 * A binary heap: finds the first item by `isBefore` in O(1), adds or removes one in O(log n). An item that
 * leaves early is only marked, and dropped when it reaches the front or when half of the items have left. So
 * leaving costs O(1) on average and keeps nothing in memory for long.
 */
export class Heap<Item extends Leaving> {
  #isBefore: (a: Item, b: Item) => boolean
  #items: Item[] = []
  #left = 0

  constructor(isBefore: (a: Item, b: Item) => boolean) {
    this.#isBefore = isBefore
  }

  /** The first item that has not left. */
  first(): Item | undefined {
    for (;;) {
      const first = this.#items[0]
      if (first === undefined || !first.hasLeft) return first
      this.#left -= 1
      this.#takeFirst()
    }
  }

  add(item: Item): void {
    this.#items.push(item)
    this.#rise(this.#items.length - 1)
  }

  /** Removes the item that `first` has just returned. */
  takeFirst(): void {
    this.#takeFirst()
  }

  /** To be called when one of the items has left. */
  dropped(): void {
    this.#left += 1
    if (this.#left * 2 <= this.#items.length) return
    this.sort(this.#isBefore)
  }

  /** Changes the order. */
  sort(isBefore: (a: Item, b: Item) => boolean): void {
    const kept = this.#items.filter(({ hasLeft }) => !hasLeft)
    this.#isBefore = isBefore
    this.#items = []
    this.#left = 0
    for (const item of kept) this.add(item)
  }

  #takeFirst(): void {
    const last = this.#items.pop()
    if (last === undefined || this.#items.length === 0) return
    this.#items[0] = last
    this.#sink(0)
  }

  #rise(from: number): void {
    const items = this.#items
    // Safe: `from` is the index of an item, and so are its parents.
    const item = items[from] as Item
    let at = from
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = items[up] as Item
      if (!this.#isBefore(item, parent)) break
      items[at] = parent
      at = up
    }
    items[at] = item
  }

  #sink(from: number): void {
    const items = this.#items
    const item = items[from] as Item
    let at = from
    for (;;) {
      const left = items[2 * at + 1]
      if (left === undefined) break
      const right = items[2 * at + 2]
      const child = right !== undefined && this.#isBefore(right, left) ? right : left
      if (!this.#isBefore(child, item)) break
      items[at] = child
      at = child === left ? 2 * at + 1 : 2 * at + 2
    }
    items[at] = item
  }
}
