/** Numbers that follow from a seed, the same on every machine. */
export interface Random {
  /** From 0 to `count - 1`. */
  below(count: number): number
  pick<T>(list: readonly [T, ...T[]] | readonly T[]): T
  chance(share: number): boolean
}

/** mulberry32: https://github.com/cprosche/mulberry32 */
export function seeded(seed: number): Random {
  // Neighbouring seeds must not give neighbouring numbers.
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b)
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (count: number) => Math.floor(next() * count)
  return {
    below,
    pick: (list) => {
      if (list.length === 0) throw new RangeError('nothing to pick from')
      return list[below(list.length)] as (typeof list)[number]
    },
    chance: (share) => next() < share,
  }
}
