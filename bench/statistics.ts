/** The value below which this share of the numbers lies; nearest rank. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const rank = Math.min(Math.max(Math.ceil(share * sorted.length) - 1, 0), sorted.length - 1)
  return sorted[rank] ?? Number.NaN
}

export function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5)
}

/** The middle half: what a table shows beside a median, since machines are noisy. */
export function middleHalf(numbers: readonly number[]): readonly [low: number, high: number] {
  return [quantile(numbers, 0.25), quantile(numbers, 0.75)]
}
