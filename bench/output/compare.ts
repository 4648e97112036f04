/** Each comparison takes so long at least. */
export const MIN_MS = 600

/** Median microseconds of one run of each, in alternating blocks, so that both meet the same noise. */
export function compare(
  text: string,
  works: readonly ((text: string) => void)[],
  minBlocks = 5,
): number[] {
  const times = works.map((): number[] => [])
  const perBlock = Math.max(1, Math.round(200_000 / text.length))
  const untilMs = performance.now() + MIN_MS
  // Once for the compiler.
  for (const work of works) for (let run = 0; run < perBlock; run += 1) work(text)
  while (performance.now() < untilMs || (times[0]?.length ?? 0) < minBlocks) {
    for (const [index, work] of works.entries()) {
      const startedMs = performance.now()
      for (let run = 0; run < perBlock; run += 1) work(text)
      times[index]?.push(((performance.now() - startedMs) * 1_000) / perBlock)
    }
  }
  return times.map((list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? NaN)
}
