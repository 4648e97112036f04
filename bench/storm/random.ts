/**
 * A stream of numbers in [0, 1), the same for the same seed: mulberry32 (Tommy Ettinger, public
 * domain), 32 bits of state. Each part of a simulation has its own, so that all policies meet the
 * same arrivals.
 */
export function seeded(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A seed for one part: neighbouring seeds must not give neighbouring streams. */
export function seedFor(seed: number, part: number): number {
  return Math.imul(seed * 64 + part + 1, 0x9e3779b1)
}

/** One draw of the exponential distribution. */
export function exponential(random: () => number, mean: number): number {
  return -Math.log(1 - random()) * mean
}
